//! `POST /api/v2/batch`: up to 256 requests at once, each with its own result or problem, in order.
//!
//! The body is split into the texts of its requests, and each text is parsed by itself. A wrong
//! request costs itself alone, and the memory of a batch is a small multiple of its body. A large
//! body is parsed outside of the workers, so that it holds up no other request.

use std::borrow::Cow;

use axum::body::Body;
use axum::extract::State;
use axum::{Extension, Json};
use bytes::Bytes;
use hyper::{HeaderMap, StatusCode};
use picarcade_flow::{Caller, FieldProblem, FlowRequest};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Array, ArrayBuilder, OneOfBuilder, Ref};
use utoipa::openapi::{RefOr, Schema};

use crate::answer::WithRequestId;
use crate::http::app::App;
use crate::http::body::{self, MAX_BODY, Share};
use crate::http::identity::{ApiCall, Presented};
use crate::http::json;
use crate::http::layer::request_id::RequestId;
use crate::http::layer::span::Span;
use crate::http::problem::{self, Problem};
use crate::http::route::process::{ProcessResponse, cache_control};

/// The most requests of one batch.
const MAX_REQUESTS: usize = 256;

/// The largest body of a batch, in bytes: 256 prompts of 8,000 four-byte characters.
const MAX_BATCH_BODY: usize = 8 << 20;

/// The smallest body that is parsed outside of the workers, in bytes: a worker parses less in a few
/// milliseconds.
const LARGE_BODY: usize = 256 * 1024;

/// The turns of large bodies. The others wait, so that they leave processor time to the workers.
static LARGE_BODIES: Semaphore = Semaphore::const_new(1);

/// The most places of a batch that are not UTF-8 and still affect only their own requests.
const MAX_INVALID: usize = 64 * 1024;

/// The description of a batch: a list, or an object with a list.
struct BatchRequest;

impl utoipa::PartialSchema for BatchRequest {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new().item(requests_schema()).item(Ref::from_schema_name(Batch::name())).into()
    }
}

impl ToSchema for BatchRequest {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Batch::name().into_owned(), <Batch as utoipa::PartialSchema>::schema()));
    }
}

/// A list of requests in an object.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its description is used")]
struct Batch {
    #[schema(schema_with = requests_schema)]
    requests: (),
}

fn requests_schema() -> Array {
    ArrayBuilder::new()
        .items(Ref::from_schema_name(FlowRequest::name()))
        .min_items(Some(1))
        .max_items(Some(MAX_REQUESTS))
        .description(Some(
            "Requests of at most 64 KiB each. An invalid one has its problem in its place of the results",
        ))
        .build()
}

/// The answer to a batch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchResponse {
    failed: usize,
    request_id: String,
    /// The answers and problems, in the order of the requests.
    #[schema(value_type = Vec<BatchResult>)]
    results: Vec<Value>,
    succeeded: usize,
    total: usize,
}

/// The description of a result: an answer, which has `success`, or a problem, which has not.
struct BatchResult;

impl utoipa::PartialSchema for BatchResult {
    fn schema() -> RefOr<Schema> {
        let answer = Ref::from_schema_name(ProcessResponse::name());
        let problem = Ref::from_schema_name(problem::Body::name());
        OneOfBuilder::new().item(answer).item(problem).into()
    }
}

impl ToSchema for BatchResult {}

/// Answers up to 256 requests at once.
#[utoipa::path(
    post,
    path = "/api/v2/batch", operation_id = "processBatch",
    params(("cache-control" = String, Header)),
    request_body = BatchRequest,
    responses((status = 200, body = BatchResponse), (status = 403)),
)]
pub(crate) async fn batch(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    Extension(span): Extension<Span>,
    call: ApiCall,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<BatchResponse>, Problem> {
    let caller = call.caller(None)?;
    // A body may be large, so a caller whose limit is used up is refused before it is read.
    call.refuse_used_up(&app.flow, &caller).await?;
    // The bytes are freed before the requests are answered.
    let (bytes, share) = body::read_with_share(&headers, body, MAX_BATCH_BODY).await?;
    let parsed = requests(bytes, share, call.presented(), &span, &id).await?;
    Ok(Json(run(&app, &id, &headers, parsed).await))
}

/// One request of a batch with its caller, or the problem with it.
type Parsed = Result<(FlowRequest, Caller), Problem>;

async fn run(app: &App, id: &RequestId, headers: &HeaderMap, parsed: Vec<Parsed>) -> BatchResponse {
    let mut requests = Vec::new();
    let mut slots = Vec::new();
    for item in parsed {
        slots.push(item.map(|request| requests.push(request)));
    }
    let mut answers = app.flow.process_batch(requests, cache_control(headers)).await.into_iter();
    let results: Vec<Value> = slots
        .into_iter()
        .map(|slot| match slot.and_then(|()| answers.next().transpose().map_err(Problem::from)) {
            Ok(Some(processed)) => {
                let answer = WithRequestId { answer: &processed.answer, request_id: id.as_str() };
                serde_json::to_value(answer).unwrap_or_default()
            }
            Ok(None) => {
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the request got no answer").to_value()
            }
            Err(problem) => problem.to_value(),
        })
        .collect();
    let succeeded = results.iter().filter(|result| result.get("success") == Some(&Value::Bool(true))).count();
    BatchResponse {
        failed: results.len() - succeeded,
        request_id: id.as_str().to_owned(),
        succeeded,
        total: results.len(),
        results,
    }
}

/// Parses the requests of a batch without keeping a worker from other requests.
async fn requests(
    bytes: Bytes,
    share: Share,
    presented: &Presented,
    span: &Span,
    id: &RequestId,
) -> Result<Vec<Parsed>, Problem> {
    if bytes.len() < LARGE_BODY {
        return parse_all(&bytes, presented, span, id);
    }
    let turn = LARGE_BODIES.acquire().await;
    let (presented, span, id) = (presented.clone(), span.clone(), id.clone());
    // The turn and the share end with the work, also if the caller has left.
    let parsing = tokio::task::spawn_blocking(move || {
        let _held = (turn, share);
        parse_all(&bytes, &presented, &span, &id)
    });
    parsing.await.unwrap_or_else(|_| {
        Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the request could not be answered"))
    })
}

/// Parses the requests of a batch, each by itself.
fn parse_all(
    bytes: &[u8],
    presented: &Presented,
    span: &Span,
    id: &RequestId,
) -> Result<Vec<Parsed>, Problem> {
    let text = Text::new(bytes)?;
    let items = items(&text.text)?;
    if items.iter().map(|item| text.invalid_in(item.get())).sum::<usize>() < text.invalid.len() {
        return Err(not_utf8("the body"));
    }
    let parsed = items.into_iter().map(|item| {
        if text.invalid_in(item.get()) > 0 {
            Err(not_utf8("the request"))
        } else {
            parse(item.get(), presented, span, id)
        }
    });
    Ok(parsed.collect())
}

/// The text of a batch. Bytes that are not UTF-8 are replaced and their places kept, so that they
/// affect only their own request.
#[derive(Debug)]
struct Text<'a> {
    text: Cow<'a, str>,
    /// The places where the text was replaced, in ascending order.
    invalid: Vec<usize>,
}

impl<'a> Text<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, Problem> {
        if let Ok(text) = std::str::from_utf8(bytes) {
            return Ok(Self { text: Cow::Borrowed(text), invalid: Vec::new() });
        }
        let (mut text, mut invalid) = (String::with_capacity(bytes.len()), Vec::new());
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            if !chunk.invalid().is_empty() {
                if invalid.len() >= MAX_INVALID {
                    return Err(not_utf8("the body"));
                }
                invalid.push(text.len());
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        Ok(Self { text: Cow::Owned(text), invalid })
    }

    /// Returns how many places in `part`, which is a part of the text, were replaced.
    fn invalid_in(&self, part: &str) -> usize {
        let begin = part.as_ptr().addr() - self.text.as_ptr().addr();
        let before = |at: usize| self.invalid.partition_point(|place| *place < at);
        before(begin + part.len()) - before(begin)
    }
}

fn not_utf8(what: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, format!("{what} is not UTF-8"))
}

/// Returns the requests of a body that is a list, or an object with a list `requests`.
fn items(text: &str) -> Result<Vec<&RawValue>, Problem> {
    let (pointer, list) = match json::members(text, ["requests"]) {
        Some([requests]) => ("/requests", requests.and_then(|raw| json::elements(raw.get(), MAX_REQUESTS))),
        None => ("", json::elements(text, MAX_REQUESTS)),
    };
    let problem = |detail: String| Err(Problem::fields(vec![FieldProblem::new(pointer, detail)]));
    match list {
        None => {
            json::check(text).map_err(|error| body::malformed(&error))?;
            problem("must be a list of requests".to_owned())
        }
        Some((_, true)) => problem(format!("must have at most {MAX_REQUESTS} requests")),
        Some((items, false)) if items.is_empty() => problem("must not be empty".to_owned()),
        Some((items, false)) => Ok(items),
    }
}

fn parse(item: &str, presented: &Presented, span: &Span, id: &RequestId) -> Parsed {
    if item.len() > MAX_BODY {
        let detail = format!("the request must have at most {MAX_BODY} bytes");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    let request = body::parse_request_text(item)?;
    let caller = presented.caller_of_request(&request, "batch")?;
    Ok((request, caller.traced(span.trace()).with_request_id(id.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(bytes: &[u8]) -> Option<u64> {
        let text = Text::new(bytes);
        let problem = text.and_then(|text| items(&text.text).map(drop)).err()?;
        problem.to_value()["status"].as_u64()
    }

    #[test]
    fn a_batch_is_malformed_only_if_it_is_not_json() {
        for text in [
            "",
            "[",
            "[1,]",
            "[1] x",
            r#"{"requests": [1}"#,
            r#"{"requests": [1]"#,
            "\u{feff}[1]",
            "[\u{fffd}]",
        ] {
            assert_eq!(status(text.as_bytes()), Some(400), "{text}");
        }
        for text in ["1", "[]", "{}", r#"{"requests": {}}"#, r#"{"requests": 1e999}"#] {
            assert_eq!(status(text.as_bytes()), Some(422), "{text}");
        }
        let many = |count: usize| format!("[{}1]", "1,".repeat(count - 1));
        assert_eq!((status(many(256).as_bytes()), status(many(257).as_bytes())), (None, Some(422)));
        assert_eq!(status(br#"{"odd": 1e999, "\ud800": [], "requests": [1e999, "\ud800"]}"#), None);
        assert_eq!(status(&vec![b'\xff'; 100_000]), Some(400));
    }

    #[test]
    fn invalid_bytes_are_found_in_their_item_alone() {
        let text = Text::new(b"[\"a\xff\xfe\", \"b\", \"\xe4\xb8\"]").unwrap();
        let invalid: Vec<_> =
            items(&text.text).unwrap().iter().map(|item| text.invalid_in(item.get())).collect();
        assert_eq!((invalid, text.invalid.len()), (vec![2, 0, 1], 3));
    }
}
