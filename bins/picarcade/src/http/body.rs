//! Request bodies: JSON, bounded in size and in time. Problems name the wrong fields.
//!
//! A text that does not follow the grammar of JSON is malformed (400). Every other text is
//! well-formed. A number out of range, half a surrogate pair or deep nesting is a wrong field (422)
//! if the field is read, and is ignored otherwise.
//!
//! A compressed body is refused and never unpacked, so a small body on the wire cannot become a
//! large one in memory. All arriving bodies share one budget of memory; if it is used up, the
//! server refuses a body.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use picarcade_flow::{FieldProblem, FlowRequest, MAX_MEDIA};
use picarcade_intent::{Media, ReferenceImage};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::http::identity::check_user_id;
use crate::http::json;
use crate::http::problem::Problem;

/// The largest body of one request, in bytes.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// The most memory of all arriving bodies together, in KiB.
const BUDGET_KIB: usize = 256 * 1024;

/// The free part of the budget.
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
    match tokio::time::timeout(BODY_TIMEOUT, collect(body, limit)).await {
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

/// Parses a request.
pub(crate) fn parse(bytes: &[u8]) -> Result<FlowRequest, Problem> {
    request(text(bytes)?)
}

/// Parses a request. If serde cannot parse the text, it is read again field by field, to name the
/// wrong ones.
pub(crate) fn request(text: &str) -> Result<FlowRequest, Problem> {
    // serde would accept a list for a struct, field by field.
    if is_object(text)
        && let Ok(request) = serde_json::from_str::<FlowRequest>(text)
        // serde treats a missing prompt as an empty one.
        && !request.prompt.is_empty()
    {
        return Ok(request);
    }
    let names = [
        "prompt",
        "active_image",
        "active_video",
        "uploaded_image",
        "referenced_image",
        "user_id",
        "session_id",
        "context",
        "reserve",
    ];
    let Some(members) = json::members(text, names) else {
        json::check(text).map_err(|error| malformed(&error))?;
        return Err(not_an_object());
    };
    let [
        prompt,
        active_image,
        active_video,
        uploaded_image,
        referenced_image,
        user_id,
        session_id,
        context,
        reserve,
    ] = members;
    let mut wrong = Wrong::default();
    let request = FlowRequest {
        prompt: wrong.required(prompt, "/prompt"),
        user_id: wrong.string(user_id, "/user_id"),
        session_id: wrong.string(session_id, "/session_id"),
        active_image: wrong.boolean(active_image, "/active_image"),
        active_video: wrong.boolean(active_video, "/active_video"),
        uploaded_image: wrong.boolean(uploaded_image, "/uploaded_image"),
        referenced_image: wrong.boolean(referenced_image, "/referenced_image"),
        reserve: wrong.boolean(reserve, "/reserve"),
        context: wrong.media(context),
    };
    if wrong.0.is_empty() { Ok(request) } else { Err(Problem::fields(wrong.0)) }
}

/// Returns the text of a body. JSON is UTF-8 (RFC 8259, section 8.1), also in ignored fields.
fn text(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes).map_err(|error| {
        let place = format!("the body is not UTF-8 (at byte {})", error.valid_up_to());
        Problem::new(StatusCode::BAD_REQUEST, place)
    })
}

/// Parses a body of another type, and names the first wrong field.
pub(crate) fn parse_as<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = text(bytes)?;
    if !is_object(text) {
        json::check(text).map_err(|error| malformed(&error))?;
        return Err(not_an_object());
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let parsed = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        // serde has read only a part of the text; the rest may not be JSON.
        if let Err(error) = json::check(text) {
            return malformed(&error);
        }
        let mut pointer = pointer(error.path());
        let error = error.into_inner().to_string();
        let detail = detail(&error);
        if let Some(missing) = error.strip_prefix("missing field `") {
            pointer.push('/');
            pointer.push_str(missing.split('`').next().unwrap_or_default());
        }
        Problem::fields(vec![FieldProblem::new(pointer, detail)])
    })?;
    deserializer.end().map_err(|error| malformed(&error))?;
    Ok(parsed)
}

/// Returns what serde expected, in terms of JSON instead of Rust.
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

/// Returns what a field must be, from serde's text about it: `invalid type: string "x", expected a
/// boolean at line 1 column 9`. The client's value stands before the last "expected" and is not
/// repeated.
fn detail(error: &str) -> String {
    let words = error.rsplit_once(" at line ").map_or(error, |(words, _)| words);
    if words.starts_with("missing field") {
        "is missing".to_owned()
    } else if words == "number out of range" {
        "is a number out of range".to_owned()
    } else if words == "recursion limit exceeded" {
        "is nested too deeply".to_owned()
    } else if let Some((_, expected)) = words.rsplit_once(", expected ") {
        format!("must be {}", in_words(expected))
    } else {
        "is not valid".to_owned()
    }
}

fn is_object(text: &str) -> bool {
    text.trim_ascii_start().starts_with('{')
}

fn not_an_object() -> Problem {
    Problem::fields(vec![FieldProblem::new("", "must be an object")])
}

/// Parses a body of another type, and the `user_id` in it that names the end user.
pub(crate) fn parse_with_user<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, Option<String>), Problem> {
    #[derive(serde::Deserialize)]
    struct Named {
        user_id: Option<String>,
    }
    let (parsed, user) = (parse_as(bytes)?, parse_as::<Named>(bytes)?.user_id);
    check_user_id(user.as_deref())?;
    Ok((parsed, user))
}

/// Returns a path of serde as a JSON pointer (RFC 6901).
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

/// The wrong fields of a request.
#[derive(Default)]
struct Wrong(Vec<FieldProblem>);

impl Wrong {
    fn push(&mut self, pointer: impl Into<String>, detail: &str) {
        self.0.push(FieldProblem::new(pointer, detail));
    }

    fn required(&mut self, raw: Option<&RawValue>, pointer: &str) -> String {
        match raw.map(|raw| (raw.get(), serde_json::from_str(raw.get()))) {
            Some((_, Ok(text))) => return text,
            Some((raw, Err(_))) if raw.starts_with('"') => self.push(pointer, "must be valid Unicode"),
            Some(_) => self.push(pointer, "must be a string"),
            None => self.push(pointer, "is missing"),
        }
        String::new()
    }

    fn string(&mut self, raw: Option<&RawValue>, pointer: &str) -> Option<String> {
        present(raw).map(|raw| self.required(Some(raw), pointer))
    }

    fn boolean(&mut self, raw: Option<&RawValue>, pointer: &str) -> bool {
        match raw.map(RawValue::get) {
            None | Some("false") => return false,
            Some("true") => return true,
            Some(_) => self.push(pointer, "must be true or false"),
        }
        false
    }

    fn media(&mut self, raw: Option<&RawValue>) -> Media {
        let Some(raw) = present(raw) else { return Media::default() };
        let names = ["working_image", "working_video", "uploaded_images", "reference_images"];
        let Some([image, video, uploads, references]) = json::members(raw.get(), names) else {
            self.push("/context", "must be an object");
            return Media::default();
        };
        Media {
            working_image: self.string(image, "/context/working_image"),
            working_video: self.string(video, "/context/working_video"),
            uploaded_images: self.list(uploads, "/context/uploaded_images", |wrong, upload, pointer| {
                wrong.required(Some(upload), &pointer)
            }),
            reference_images: self.list(references, "/context/reference_images", Self::reference),
        }
    }

    /// Reads one element more than a list may have, so that validation refuses the list.
    fn list<T>(
        &mut self,
        raw: Option<&RawValue>,
        pointer: &str,
        element: impl Fn(&mut Self, &RawValue, String) -> T,
    ) -> Vec<T> {
        let Some(raw) = raw else { return Vec::new() };
        let Some((elements, _)) = json::elements(raw.get(), MAX_MEDIA + 1) else {
            self.push(pointer, "must be a list");
            return Vec::new();
        };
        let elements = elements.into_iter().enumerate();
        elements.map(|(index, raw)| element(self, raw, format!("{pointer}/{index}"))).collect()
    }

    fn reference(&mut self, raw: &RawValue, pointer: String) -> ReferenceImage {
        let Some([url, tag]) = json::members(raw.get(), ["url", "tag"]) else {
            self.push(pointer, "must be an object");
            return ReferenceImage { url: String::new(), tag: String::new() };
        };
        ReferenceImage {
            url: self.required(url, &format!("{pointer}/url")),
            tag: self.required(tag, &format!("{pointer}/tag")),
        }
    }
}

/// Returns the value unless it is `null`, which means the same as no value.
fn present(raw: Option<&RawValue>) -> Option<&RawValue> {
    raw.filter(|raw| raw.get() != "null")
}

/// Returns the problem with a text that is not JSON.
pub(crate) fn malformed(error: &serde_json::Error) -> Problem {
    let place = format!("the body is not JSON (line {}, column {})", error.line(), error.column());
    Problem::new(StatusCode::BAD_REQUEST, place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pointers(text: &str) -> Vec<String> {
        let problem = request(text).unwrap_err().to_value();
        assert_eq!(problem["status"], 422, "{problem}");
        let errors = problem["errors"].as_array().unwrap().iter();
        errors.map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_field_of_a_wrong_type_is_named() {
        let value = json!({
            "prompt": 1, "active_image": "yes", "session_id": [], "reserve": null,
            "context": {"uploaded_images": [1], "reference_images": [{"url": 1}, 2], "working_image": {}}
        });
        assert_eq!(
            pointers(&value.to_string()),
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
        assert_eq!(pointers("{}"), ["/prompt"]);
        assert_eq!(pointers("[1]"), [""]);
    }

    #[test]
    fn a_value_that_cannot_be_read_is_a_wrong_field_where_it_is_read_and_ignored_elsewhere() {
        let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
        for odd in ["1e999", "-1e999", r#""\ud800""#, r#"{"\udc00": 1}"#, &deep] {
            assert_eq!(
                request(&format!(r#"{{"prompt": "x", "odd": {odd}}}"#)).unwrap(),
                FlowRequest::new("x")
            );
            assert_eq!(
                request(&format!(r#"{{"odd": {odd}, "context": {{"odd": {odd}}}, "prompt": "x"}}"#)).unwrap(),
                FlowRequest::new("x")
            );
            for field in ["prompt", "user_id", "active_image", "reserve"] {
                let text = format!(r#"{{"prompt": "x", "{field}": {odd}}}"#);
                assert_eq!(pointers(&text), [format!("/{field}")], "{text}");
            }
        }
        let keys = r#"{"\ud800": 1, "prompt": "x", "prompt": "y", "pr\u006fmpt": "z"}"#;
        assert_eq!(request(keys).unwrap(), FlowRequest::new("z"));
        for malformed in
            [r#"{"prompt": "x", "odd": 1e}"#, r#"{"prompt": "x"} x"#, r#"{"prompt": 1, }"#, "{", ""]
        {
            assert_eq!(request(malformed).unwrap_err().to_value()["status"], 400, "{malformed}");
        }
        assert_eq!(parse(b"{\"prompt\": \"x\", \"odd\": \"\xff\"}").unwrap_err().to_value()["status"], 400);
    }

    #[test]
    fn a_list_of_wrong_elements_is_a_bounded_answer() {
        let wrong =
            format!(r#"{{"prompt": "x", "context": {{"uploaded_images": [{}1]}}}}"#, "1,".repeat(30_000));
        assert_eq!(pointers(&wrong).len(), picarcade_flow::MAX_PROBLEMS);
    }

    #[test]
    fn other_bodies_name_their_first_wrong_field_and_repeat_nothing() {
        for (text, pointer) in [
            (r#"{"success": "secret words"}"#, "/success"),
            (r#"{"success": "a, expected secret words at line 1, expected more"}"#, "/success"),
            (r#"{"success": true, "error_kind": "x, expected secret words at line 2"}"#, "/error_kind"),
            (r#"{"success": true, "actual_cost": 1e999}"#, "/actual_cost"),
            (r#"{"success": true, "error_kind": "\ud800"}"#, "/error_kind"),
            ("{}", "/success"),
        ] {
            let problem = parse_as::<picarcade_flow::OutcomeReport>(text.as_bytes()).unwrap_err().to_value();
            assert_eq!(
                (&problem["status"], &problem["errors"][0]["pointer"]),
                (&json!(422), &json!(pointer))
            );
            assert!(!problem.to_string().contains("secret"), "{problem}");
        }
        let deep = format!(r#"{{"metadata": {}{}}}"#, "[".repeat(300), "]".repeat(300));
        for text in [deep.as_str(), r#"{"metadata": {"a": [1e999]}}"#, r#"{"metadata": "\ud800"}"#] {
            let problem = parse_as::<picarcade_flow::SessionUpdate>(text.as_bytes()).unwrap_err().to_value();
            assert_eq!(problem["status"], 422, "{problem}");
            let pointer = problem["errors"][0]["pointer"].as_str().unwrap();
            assert!(pointer.starts_with("/metadata"), "{problem}");
        }
        let status =
            |text: &[u8]| parse_as::<serde_json::Value>(text).unwrap_err().to_value()["status"].clone();
        assert_eq!(
            (status(b"[true]"), status(b"{} x"), status(b"{\"a\": \"\xff\"}")),
            (json!(422), json!(400), json!(400))
        );
        // The text is wrong at its beginning and malformed at its end.
        let report = parse_as::<picarcade_flow::OutcomeReport>(br#"{"success": 1, "#);
        assert_eq!(report.unwrap_err().to_value()["status"], 400);
        let detail = |text: &str| {
            let parsed = parse_as::<picarcade_flow::OutcomeReport>(text.as_bytes());
            parsed.unwrap_err().to_value()["errors"][0]["detail"].clone()
        };
        assert_eq!(detail(r#"{"success": "secret words"}"#), "must be true or false");
        for cost in ["{}", r#""a, expected secret at line 1""#] {
            let body = format!("{{\"success\": true, \"actual_cost\": {cost}}}");
            assert_eq!(detail(&body), "must be a number");
        }
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
