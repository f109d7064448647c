//! Request bodies: JSON, bounded in size and in time, with every wrong field named.
//!
//! A compressed body is refused and never unpacked: what is small on the wire cannot become large here. All bodies that are
//! coming in share one budget of memory; over it the server is full.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use picarcade_flow::{FieldProblem, FlowRequest};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::http::identity::is_usable;
use crate::http::problem::Problem;

/// The largest body of one request, in bytes.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(15);

/// What all bodies that are coming in may take together, in KiB.
const BUDGET_KIB: usize = 256 * 1024;

/// The part of the budget that is free.
static BUDGET: Semaphore = Semaphore::const_new(BUDGET_KIB);

/// Reads a whole JSON body of at most `limit` bytes.
pub(crate) async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Problem> {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !is_json(media_type) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be application/json"));
    }
    if headers.get_all(CONTENT_ENCODING).iter().any(|coding| !is_identity(coding)) {
        let problem = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must not be compressed");
        return Err(problem.with_header(ACCEPT_ENCODING, HeaderValue::from_static("identity")));
    }
    let too_large =
        || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body must have at most {limit} bytes"));
    let announced =
        headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    if announced.is_some_and(|length: u64| length > limit as u64) {
        return Err(too_large());
    }
    match tokio::time::timeout(PATIENCE, collect(body, limit)).await {
        Ok(Ok(Collected::Whole(bytes))) => Ok(bytes),
        Ok(Ok(Collected::TooLarge)) => Err(too_large()),
        Ok(Ok(Collected::Full)) => {
            Err(Problem::unavailable("too many bodies are coming in", Duration::from_secs(1)))
        }
        Ok(Err(_)) => Err(Problem::new(StatusCode::BAD_REQUEST, "the body ended early")),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
    }
}

enum Collected {
    Whole(Bytes),
    TooLarge,
    /// The budget is used up.
    Full,
}

async fn collect(mut body: Body, limit: usize) -> Result<Collected, axum::Error> {
    let mut buffer = Vec::new();
    let mut taken: Option<SemaphorePermit<'static>> = None;
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame?.into_data() else { continue };
        if buffer.len() + chunk.len() > limit {
            return Ok(Collected::TooLarge);
        }
        let held = taken.as_ref().map_or(0, SemaphorePermit::num_permits);
        let wanted = (buffer.len() + chunk.len()).div_ceil(1024).saturating_sub(held);
        let Ok(more) = BUDGET.try_acquire_many(wanted as u32) else { return Ok(Collected::Full) };
        match &mut taken {
            Some(taken) => taken.merge(more),
            None => taken = Some(more),
        }
        buffer.extend_from_slice(&chunk);
    }
    Ok(Collected::Whole(buffer.into()))
}

fn is_identity(coding: &HeaderValue) -> bool {
    let coding = coding.as_bytes().trim_ascii();
    coding.is_empty() || coding.eq_ignore_ascii_case(b"identity")
}

fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let Some((kind, subtype)) = essence.split_once('/') else { return false };
    kind.eq_ignore_ascii_case("application")
        && (subtype.eq_ignore_ascii_case("json") || subtype.to_ascii_lowercase().ends_with("+json"))
}

/// A request from JSON text. The straight way first; what does not fit is looked at again, field by field, to say where.
pub(crate) fn parse(bytes: &[u8]) -> Result<FlowRequest, Problem> {
    if !is_object(bytes) {
        // serde would take a list for a struct, field by field.
        let value: Value = serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
        return from_value(value).map_err(Problem::fields);
    }
    match serde_json::from_slice(bytes) {
        Ok(request) => Ok(request),
        Err(error) if error.is_data() => {
            // The text is JSON as far as it was read; the rest may still not be.
            let value = serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
            from_value(value).map_err(Problem::fields)
        }
        Err(error) => Err(malformed(&error)),
    }
}

/// A request from a JSON value, with every field of a wrong type named.
pub(crate) fn from_value(value: Value) -> Result<FlowRequest, Vec<FieldProblem>> {
    let mut problems = Vec::new();
    let Value::Object(fields) = &value else {
        return Err(vec![FieldProblem::new("", "must be an object")]);
    };
    for name in ["prompt", "user_id", "session_id"] {
        string(fields, name, "", name == "prompt", &mut problems);
    }
    for name in ["active_image", "active_video", "uploaded_image", "referenced_image", "reserve"] {
        if fields.get(name).is_some_and(|value| !value.is_boolean()) {
            problems.push(FieldProblem::new(format!("/{name}"), "must be true or false"));
        }
    }
    match fields.get("context") {
        None | Some(Value::Null) => {}
        Some(Value::Object(context)) => check_context(context, &mut problems),
        Some(_) => problems.push(FieldProblem::new("/context", "must be an object")),
    }
    if problems.is_empty() {
        serde_json::from_value(value).map_err(|error| vec![FieldProblem::new("", error.to_string())])
    } else {
        Err(problems)
    }
}

/// A body of another shape; the first field that does not fit is named.
pub(crate) fn parse_as<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if !is_object(bytes) {
        serde_json::from_slice::<IgnoredAny>(bytes).map_err(|error| malformed(&error))?;
        return Err(Problem::fields(vec![FieldProblem::new("", "must be an object")]));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let mut pointer = pointer(error.path());
        let error = error.into_inner();
        if !error.is_data() {
            return malformed(&error);
        }
        // "invalid type: string "x", expected a boolean at line 1 column 9": what was sent is not repeated.
        let text = error.to_string();
        // From the end, because text that was sent may hold these words too.
        let expected = text.rsplit_once(" at line ").and_then(|(text, _)| text.rsplit_once(", expected "));
        let detail = match expected {
            Some((_, expected)) => format!("must be {}", in_words(expected)),
            None if text.starts_with("missing field") => {
                pointer.push('/');
                pointer.push_str(text.split('`').nth(1).unwrap_or_default());
                "is missing".to_owned()
            }
            None => "is not valid".to_owned(),
        };
        Problem::fields(vec![FieldProblem::new(pointer, detail)])
    })?;
    deserializer.end().map_err(|error| malformed(&error))?;
    Ok(parsed)
}

/// Returns what serde expected in the words of JSON; its own are those of Rust.
fn in_words(expected: &str) -> &str {
    match expected {
        "f32" | "f64" => "a number",
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        _ if expected.starts_with("struct ") => "an object",
        _ => expected,
    }
}

/// A body of any JSON.
pub(crate) fn value(bytes: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice(bytes).map_err(|error| malformed(&error))
}

fn is_object(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'{')
}

/// The same, with the `user_id` beside the fields, where a caller names the end user in the body.
pub(crate) fn parse_with_user<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, Option<String>), Problem> {
    #[derive(serde::Deserialize)]
    struct Named {
        user_id: Option<String>,
    }
    let (parsed, user) = (parse_as(bytes)?, parse_as::<Named>(bytes)?.user_id);
    // Looked at even where a header names somebody: what is wrong is wrong.
    if user.as_deref().is_some_and(|user| !is_usable(user)) {
        return Err(Problem::fields(vec![FieldProblem::new("/user_id", "is not a usable user id")]));
    }
    Ok((parsed, user))
}

/// A path of serde as a JSON pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Segment::Enum { variant } => format!("/{variant}"),
            Segment::Unknown => String::new(),
        })
        .collect()
}

fn check_context(context: &Map<String, Value>, problems: &mut Vec<FieldProblem>) {
    for name in ["working_image", "working_video"] {
        string(context, name, "/context", false, problems);
    }
    for (index, item) in list(context, "uploaded_images", problems).iter().enumerate() {
        if !item.is_string() {
            problems.push(FieldProblem::new(format!("/context/uploaded_images/{index}"), "must be a string"));
        }
    }
    for (index, item) in list(context, "reference_images", problems).iter().enumerate() {
        let pointer = format!("/context/reference_images/{index}");
        match item {
            Value::Object(reference) => {
                string(reference, "url", &pointer, true, problems);
                string(reference, "tag", &pointer, true, problems);
            }
            _ => problems.push(FieldProblem::new(pointer, "must be an object")),
        }
    }
}

fn list<'a>(fields: &'a Map<String, Value>, name: &str, problems: &mut Vec<FieldProblem>) -> &'a [Value] {
    match fields.get(name) {
        None => &[],
        Some(Value::Array(items)) => items,
        Some(_) => {
            problems.push(FieldProblem::new(format!("/context/{name}"), "must be a list"));
            &[]
        }
    }
}

fn string(
    fields: &Map<String, Value>,
    name: &str,
    at: &str,
    required: bool,
    problems: &mut Vec<FieldProblem>,
) {
    let detail = match fields.get(name) {
        Some(Value::String(_)) => return,
        None | Some(Value::Null) if !required => return,
        None => "is missing",
        Some(_) => "must be a string",
    };
    problems.push(FieldProblem::new(format!("{at}/{name}"), detail));
}

fn malformed(error: &serde_json::Error) -> Problem {
    let place = format!("the body is not JSON (line {}, column {})", error.line(), error.column());
    Problem::new(StatusCode::BAD_REQUEST, place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_field_of_a_wrong_type_is_named() {
        let value = json!({
            "prompt": 1, "active_image": "yes", "session_id": [], "reserve": null,
            "context": {"uploaded_images": [1], "reference_images": [{"url": 1}, 2], "working_image": {}}
        });
        let pointers: Vec<_> =
            from_value(value).unwrap_err().into_iter().map(|problem| problem.pointer).collect();
        assert_eq!(
            pointers,
            [
                "/prompt",
                "/session_id",
                "/active_image",
                "/reserve",
                "/context/working_image",
                "/context/uploaded_images/0",
                "/context/reference_images/0/url",
                "/context/reference_images/0/tag",
                "/context/reference_images/1",
            ]
        );
    }

    #[test]
    fn a_missing_prompt_is_named() {
        assert_eq!(from_value(json!({})).unwrap_err(), [FieldProblem::new("/prompt", "is missing")]);
    }

    #[test]
    fn other_bodies_name_their_first_wrong_field_and_repeat_nothing() {
        let problem = parse_as::<picarcade_flow::OutcomeReport>(br#"{"success": "secret words"}"#)
            .unwrap_err()
            .to_value();
        assert_eq!(problem["errors"][0]["pointer"], "/success");
        assert_eq!(problem["errors"][0]["detail"], "must be true or false");
        let cost = |value: &str| {
            let body = format!("{{\"success\": true, \"actual_cost\": {value}}}");
            let parsed = parse_as::<picarcade_flow::OutcomeReport>(body.as_bytes());
            parsed.unwrap_err().to_value()["errors"][0]["detail"].clone()
        };
        assert_eq!(cost("{}"), "must be a number");
        assert_eq!(cost(r#""a, expected secret at line 1""#), "must be a number");
        assert!(!problem.to_string().contains("secret"), "{problem}");
        assert_eq!(parse_as::<Value>(b"[true]").unwrap_err().to_value()["status"], 422);
        assert_eq!(parse_as::<Value>(b"{} x").unwrap_err().to_value()["status"], 400);
    }

    #[test]
    fn media_types() {
        for (text, json) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/vnd.api+json", true),
            ("text/json", false),
            ("application/x-www-form-urlencoded", false),
            ("", false),
        ] {
            assert_eq!(is_json(text), json, "{text}");
        }
    }
}
