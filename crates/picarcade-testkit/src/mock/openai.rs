//! OpenAI chat completions, which many other vendors copy: a JSON schema as `response_format` or a
//! forced function.

use serde_json::{Value, json};

use super::dialect::{Content, Request, tokens};
use super::response::Response;

/// Returns an error in the form of this API.
pub(super) fn error(status: u16, kind: &str, code: Option<&str>, message: &str) -> Response {
    let body = json!({"error": {"message": message, "type": kind, "param": null, "code": code}});
    Response::json(status, &body).header("x-request-id", "req_mock")
}

/// Returns the error for a request that the real API refuses before any model runs.
pub(super) fn check(request: &Request) -> Result<(), Response> {
    let invalid = |message: &str| Err(error(400, "invalid_request_error", None, message));
    if request.header("authorization").is_none_or(|value| !value.starts_with("Bearer ")) {
        let message = "You didn't provide an API key.";
        return Err(error(401, "invalid_request_error", Some("invalid_api_key"), message));
    }
    let body = &request.body;
    if !body.is_object() {
        return invalid("We could not parse the JSON body of your request.");
    }
    if body.get("model").and_then(Value::as_str).is_none_or(str::is_empty) {
        return invalid("you must provide a model parameter");
    }
    if body.get("messages").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        return invalid("Invalid 'messages': empty array.");
    }
    if body.get("stream").and_then(Value::as_bool) == Some(true) {
        return invalid("the mock answers in one piece");
    }
    if body.pointer("/response_format/type").and_then(Value::as_str) == Some("json_schema") {
        let schema = body.pointer("/response_format/json_schema");
        if schema.and_then(|schema| schema.get("name")).and_then(Value::as_str).is_none_or(str::is_empty) {
            return invalid("Missing required parameter: 'response_format.json_schema.name'.");
        }
        if schema.and_then(|schema| schema.get("schema")).is_none_or(|schema| !schema.is_object()) {
            return invalid("Missing required parameter: 'response_format.json_schema.schema'.");
        }
    }
    Ok(())
}

pub(super) fn success(request: &Request, content: &Content) -> Response {
    let body = &request.body;
    let function = body.pointer("/tool_choice/function/name").and_then(Value::as_str);
    let words = content.text();
    let (message, finish) = match (content, function) {
        (Content::Refusal, _) => (json!({"role": "assistant", "content": null, "refusal": words}), "stop"),
        (Content::Cut(_), _) => (json!({"role": "assistant", "content": words, "refusal": null}), "length"),
        (Content::Json(_), Some(name)) => {
            let call = json!({"id": "call_mock", "type": "function", "function": {"name": name, "arguments": words}});
            (json!({"role": "assistant", "content": null, "refusal": null, "tool_calls": [call]}), "stop")
        }
        (Content::Json(_) | Content::Prose(_), _) => {
            (json!({"role": "assistant", "content": words, "refusal": null}), "stop")
        }
    };
    let prompt = tokens(&body.get("messages").map(Value::to_string).unwrap_or_default());
    let completion = tokens(&words);
    let completion = json!({
        "id": "chatcmpl-mock",
        "object": "chat.completion",
        "created": 1_767_225_600,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": 0},
        },
    });
    Response::json(200, &completion).header("x-request-id", "req_mock")
}
