//! Anthropic Messages, as documented for `POST /v1/messages` with the version 2023-06-01: refused
//! requests, the two ways of structured output (a forced tool, a JSON schema), usage with cached
//! tokens, and the shape of errors.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::dialect::{Content, Request, tokens};
use super::response::Response;

/// Returns an error in the form of this API.
pub(super) fn error(status: u16, kind: &str, message: &str) -> Response {
    let id = "req_011CMockMockMockMockMock";
    let body = json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": id});
    Response::json(status, &body).header("request-id", id)
}

/// Returns the error for a request that the real API refuses before any model runs.
pub(super) fn check(request: &Request) -> Result<(), Response> {
    let invalid = |message: &str| Err(error(400, "invalid_request_error", message));
    if request.header("x-api-key").is_none_or(str::is_empty) {
        return Err(error(401, "authentication_error", "x-api-key header is required"));
    }
    if request.header("anthropic-version").is_none() {
        return invalid("anthropic-version: header is required");
    }
    let body = &request.body;
    if !body.is_object() {
        return invalid("The request body is not valid JSON");
    }
    if body.get("model").and_then(Value::as_str).is_none_or(str::is_empty) {
        return invalid("model: Field required");
    }
    if body.get("max_tokens").and_then(Value::as_u64).is_none_or(|limit| limit == 0) {
        return invalid("max_tokens: Field required");
    }
    if body.get("messages").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        return invalid("messages: at least one message is required");
    }
    if body.get("stream").and_then(Value::as_bool) == Some(true) {
        return invalid("stream: the mock answers in one piece");
    }
    if let Some(name) = forced_tool(body)
        && !tool_names(body).any(|tool| tool == name)
    {
        return invalid(&format!("Tool '{name}' not found in provided tools"));
    }
    Ok(())
}

/// Returns a successful response. `seen` remembers the contents of the prompt cache.
pub(super) fn success(request: &Request, content: &Content, seen: &mut HashSet<String>) -> Response {
    let body = &request.body;
    let tool = forced_tool(body)
        .or_else(|| body.get("output_config").is_none().then(|| tool_names(body).next()).flatten());
    let (blocks, stop) = match (content, tool) {
        (Content::Refusal, _) => (json!([]), "refusal"),
        // A truncated tool input is what could be parsed so far, often nothing.
        (Content::Cut(_), Some(name)) => (json!([tool_use(name, &json!({}))]), "max_tokens"),
        (Content::Cut(_), None) => (json!([text(content)]), "max_tokens"),
        (Content::Json(value), Some(name)) => (json!([tool_use(name, value)]), "tool_use"),
        (Content::Json(_) | Content::Prose(_), _) => (json!([text(content)]), "end_turn"),
    };
    let (fresh, written, read) = input_tokens(body, seen);
    let message = json!({
        "id": "msg_01MockMockMockMockMock",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": blocks,
        "stop_reason": stop,
        "stop_sequence": null,
        "usage": {
            "input_tokens": fresh,
            "cache_creation_input_tokens": written,
            "cache_read_input_tokens": read,
            "output_tokens": tokens(&content.text()),
        },
    });
    Response::json(200, &message).header("request-id", "req_011CMockMockMockMockMock")
}

fn text(content: &Content) -> Value {
    json!({"type": "text", "text": content.text()})
}

fn tool_use(name: &str, input: &Value) -> Value {
    json!({"type": "tool_use", "id": "toolu_01MockMockMockMockMock", "name": name, "input": input})
}

fn forced_tool(body: &Value) -> Option<&str> {
    let choice = body.get("tool_choice")?;
    (choice.get("type")?.as_str()? == "tool").then_some(())?;
    choice.get("name")?.as_str()
}

fn tool_names(body: &Value) -> impl Iterator<Item = &str> {
    let tools = body.get("tools").and_then(Value::as_array).into_iter().flatten();
    tools.filter_map(|tool| tool.get("name").and_then(Value::as_str))
}

/// Returns the input tokens: new, written to the prompt cache, and read from it. The tools and the
/// system blocks are cached if one of them carries `cache_control`. The real cache requires a
/// minimum length; the mock caches any length.
fn input_tokens(body: &Value, seen: &mut HashSet<String>) -> (u64, u64, u64) {
    let part = |name: &str| body.get(name).map(Value::to_string).unwrap_or_default();
    let prefix = part("tools") + &part("system");
    let fresh = tokens(&part("messages"));
    if !prefix.contains("\"cache_control\"") {
        return (fresh + tokens(&prefix), 0, 0);
    }
    let cached = tokens(&prefix);
    if seen.insert(prefix) { (fresh, cached, 0) } else { (fresh, 0, cached) }
}
