//! The requests that the mock received.

use std::time::Instant;

use serde_json::Value;

use super::dialect::Dialect;

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The method, in upper case.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// Header lines in order of arrival, with lower-case names.
    pub headers: Vec<(String, String)>,
    /// The body; `Null` if it is empty or not JSON.
    pub body: Value,
    /// The time of arrival, by the real clock.
    pub at: Instant,
    /// The API of the path; `None` for an unknown path.
    pub dialect: Option<Dialect>,
}

impl Request {
    /// Returns the first header with this lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(candidate, _)| candidate == name).map(|(_, value)| value.as_str())
    }

    /// Returns the text of the user's turn: the last message with the role `user`, or
    /// `input.prompt`.
    pub fn user_text(&self) -> String {
        let turns = self.body.get("messages").and_then(Value::as_array);
        let last = turns.and_then(|turns| {
            turns.iter().rev().find(|turn| turn.get("role").and_then(Value::as_str) == Some("user"))
        });
        match last.and_then(|turn| turn.get("content")) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(blocks)) => blocks
                .iter()
                .filter_map(|block| block.get("text").and_then(Value::as_str))
                .collect::<Vec<_>>()
                .join("\n"),
            _ => self.body.pointer("/input/prompt").and_then(Value::as_str).unwrap_or_default().to_owned(),
        }
    }
}
