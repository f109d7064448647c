//! A request, the API of its path, and the common parts of the three APIs. A base URL may or may
//! not end in `/v1`, because the clients of the vendors differ; both are accepted.

use std::time::Instant;

use serde_json::Value;

/// The three APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI chat completions, and compatible APIs.
    OpenAi,
    /// Replicate predictions.
    Replicate,
}

/// One request that the mock received.
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

/// The operation of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// A call that a provider charges for.
    Call(Dialect),
    /// The state of a Replicate prediction.
    Poll(String),
    /// Stop a Replicate prediction.
    Cancel(String),
    /// The path exists, but not with this method.
    WrongMethod(Dialect),
    /// An unknown path.
    Unknown,
}

impl Route {
    pub(super) fn of(method: &str, path: &str) -> Self {
        let path = path.trim_matches('/');
        let words: Vec<&str> = path.strip_prefix("v1/").unwrap_or(path).split('/').collect();
        let dialect = match words.as_slice() {
            ["messages"] => Dialect::Anthropic,
            ["chat", "completions"] => Dialect::OpenAi,
            ["predictions"] | ["models", _, _, "predictions"] => Dialect::Replicate,
            ["predictions", id] if method == "GET" => return Self::Poll((*id).to_owned()),
            ["predictions", id, "cancel"] if method == "POST" => return Self::Cancel((*id).to_owned()),
            _ => return Self::Unknown,
        };
        if method == "POST" { Self::Call(dialect) } else { Self::WrongMethod(dialect) }
    }

    pub(super) fn dialect(&self) -> Option<Dialect> {
        match self {
            Self::Call(dialect) | Self::WrongMethod(dialect) => Some(*dialect),
            Self::Poll(_) | Self::Cancel(_) => Some(Dialect::Replicate),
            Self::Unknown => None,
        }
    }
}

/// Returns a conservative token count: four bytes per token, rounded up.
pub(super) fn tokens(text: &str) -> u64 {
    (text.len() as u64).div_ceil(4)
}

/// The content of a model's message, and how the message ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    /// An object.
    Json(Value),
    /// Text.
    Prose(String),
    /// An object that the token limit truncated.
    Cut(Value),
    /// A refusal of the model.
    Refusal,
}

impl Content {
    /// Returns the text as the model would have written it.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Json(value) => value.to_string(),
            Self::Prose(text) => text.clone(),
            Self::Cut(value) => {
                let text = value.to_string();
                text.chars().take(text.chars().count() / 2).collect()
            }
            Self::Refusal => "I can't help with that request.".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Dialect, Route};

    #[test]
    fn paths_with_and_without_version() {
        for prefix in ["", "/v1"] {
            let route = |path: &str| Route::of("POST", &format!("{prefix}{path}"));
            assert_eq!(route("/messages"), Route::Call(Dialect::Anthropic));
            assert_eq!(route("/chat/completions"), Route::Call(Dialect::OpenAi));
            assert_eq!(route("/predictions"), Route::Call(Dialect::Replicate));
            assert_eq!(route("/models/a/b/predictions"), Route::Call(Dialect::Replicate));
            assert_eq!(route("/predictions/x/cancel"), Route::Cancel("x".to_owned()));
        }
        assert_eq!(Route::of("GET", "/v1/predictions/x"), Route::Poll("x".to_owned()));
        assert_eq!(Route::of("GET", "/v1/messages"), Route::WrongMethod(Dialect::Anthropic));
        assert_eq!(Route::of("POST", "/v2/messages"), Route::Unknown);
    }
}
