//! The bytes of a body, bounded in size and in time.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::http::problem::Problem;

/// The largest body of one request, in bytes.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// The most memory of all arriving bodies together, in KiB.
const BUDGET_KIB: usize = 256 * 1024;

/// The free part of the budget.
static BUDGET: Semaphore = Semaphore::const_new(BUDGET_KIB);

/// The part of the budget that one body takes.
pub(crate) type Share = Option<SemaphorePermit<'static>>;

/// Reads a whole JSON body of at most `limit` bytes.
pub(crate) async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Problem> {
    read_with_share(headers, body, limit).await.map(|(bytes, _)| bytes)
}

/// Like [`read`], for a caller that keeps the body while it waits: the body remains a part of the
/// budget until the share is dropped.
pub(crate) async fn read_with_share(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<(Bytes, Share), Problem> {
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
        Ok(Ok(Collected::Whole(bytes, share))) => Ok((bytes, share)),
        Ok(Ok(Collected::TooLarge)) => Err(too_large()),
        Ok(Ok(Collected::Full)) => {
            Err(Problem::unavailable("too many bodies are coming in", Duration::from_secs(1)))
        }
        Ok(Err(_)) => Err(Problem::new(StatusCode::BAD_REQUEST, "the body ended early")),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
    }
}

enum Collected {
    Whole(Bytes, Share),
    TooLarge,
    /// The budget is used up.
    Full,
}

async fn collect(mut body: Body, limit: usize) -> Result<Collected, axum::Error> {
    let mut buffer = Vec::new();
    let mut taken: Share = None;
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
    Ok(Collected::Whole(buffer.into(), taken))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_of_json_are_accepted() {
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
