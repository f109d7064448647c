//! Replicate predictions: created by `POST`, answered at once with `Prefer: wait`, and otherwise
//! polled by `GET`.

use serde_json::{Value, json};

use super::dialect::{Content, Request, tokens};
use super::response::Response;

/// The number of polls of a prediction whose creator does not wait.
const POLLS: u32 = 2;

/// Whether the output of a language model is one text or an array of pieces, as for most models of
/// Replicate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OutputShape {
    /// An array of strings that must be joined.
    #[default]
    Pieces,
    /// One string.
    Text,
}

#[derive(Debug, Clone)]
pub(super) struct Prediction {
    pub(super) id: String,
    base: String,
    model: Value,
    input: Value,
    polls_left: u32,
    polled: bool,
    end: End,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum End {
    Output(Value, u64),
    Without(&'static str, &'static str),
}

impl End {
    pub(super) fn with(content: &Content, shape: OutputShape) -> Self {
        let text = content.text();
        let count = tokens(&text);
        match (content, shape) {
            (Content::Refusal, _) => Self::Without(
                "failed",
                "The input or output was flagged as sensitive. Please try again. (E005)",
            ),
            (_, OutputShape::Text) => Self::Output(Value::String(text), count),
            (_, OutputShape::Pieces) => {
                let characters: Vec<char> = text.chars().collect();
                let pieces: Vec<String> = characters.chunks(7).map(|piece| piece.iter().collect()).collect();
                Self::Output(json!(pieces), count)
            }
        }
    }
}

/// Returns an error in the form of this API.
pub(super) fn error(status: u16, title: &str, detail: &str) -> Response {
    Response::json(status, &json!({"title": title, "detail": detail, "status": status}))
}

/// Returns the error for a request that the real API refuses before any model runs.
pub(super) fn check(request: &Request) -> Result<(), Response> {
    let key = request.header("authorization").unwrap_or_default();
    if !key.starts_with("Bearer ") && !key.starts_with("Token ") {
        return Err(error(401, "Unauthenticated", "You did not pass an authentication token"));
    }
    if request.body.get("input").is_none_or(|input| !input.is_object()) {
        return Err(error(422, "Input validation failed", "- input is required"));
    }
    let names_model = request.path.contains("/models/");
    if !names_model && request.body.get("version").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(error(422, "Input validation failed", "- version is required"));
    }
    Ok(())
}

impl Prediction {
    /// Creates the prediction for `request`, which needs at least `pending` polls.
    pub(super) fn create(number: u64, base: &str, request: &Request, pending: u32, end: End) -> Self {
        let waits = request.header("prefer").is_some_and(|prefer| prefer.trim_start().starts_with("wait"));
        let model = match request.path.split_once("/models/") {
            Some((_, rest)) => json!(rest.trim_end_matches("/predictions")),
            None => request.body["version"].clone(),
        };
        Self {
            id: format!("mock{number:022}"),
            base: base.to_owned(),
            model,
            input: request.body["input"].clone(),
            polls_left: pending.max(if waits { 0 } else { POLLS }),
            polled: false,
            end,
        }
    }

    /// Returns the answer to the creating request.
    pub(super) fn created(&self) -> Response {
        Response::json(201, &self.show())
    }

    /// Returns the answer to one `GET`.
    pub(super) fn poll(&mut self) -> Response {
        self.polled = true;
        self.polls_left = self.polls_left.saturating_sub(1);
        Response::json(200, &self.show())
    }

    /// Returns the answer to a cancellation; an ended prediction stays unchanged.
    pub(super) fn cancel(&mut self) -> Response {
        if self.polls_left > 0 {
            self.polls_left = 0;
            self.end = End::Without("canceled", "");
        }
        Response::json(200, &self.show())
    }

    fn show(&self) -> Value {
        let (status, output, error, count) = match (&self.end, self.polls_left) {
            (_, 1..) if self.polled => ("processing", Value::Null, Value::Null, 0),
            (_, 1..) => ("starting", Value::Null, Value::Null, 0),
            (End::Output(output, count), 0) => ("succeeded", output.clone(), Value::Null, *count),
            (End::Without(status, ""), 0) => (*status, Value::Null, Value::Null, 0),
            (End::Without(status, error), 0) => (*status, Value::Null, json!(error), 0),
        };
        let metrics = if status == "succeeded" {
            let prompt = tokens(&self.input.to_string());
            json!({"predict_time": 0.5, "total_time": 0.6, "input_token_count": prompt, "output_token_count": count})
        } else {
            json!({})
        };
        let url = format!("{}/v1/predictions/{}", self.base, self.id);
        json!({
            "id": self.id,
            "model": self.model,
            "version": "hidden",
            "input": self.input,
            "output": output,
            "error": error,
            "logs": "",
            "status": status,
            "created_at": "2026-01-01T00:00:00.000Z",
            "metrics": metrics,
            "urls": {"get": url, "cancel": format!("{url}/cancel")},
        })
    }
}
