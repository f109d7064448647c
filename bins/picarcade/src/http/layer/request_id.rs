//! `x-request-id`: echoed when the caller sent a sane one, made otherwise, on every response.
//!
//! Here is also the one line that a request may leave in the log (at level `debug`), with the trace it belongs to (W3C Trace
//! Context): no path parameter, no user, no prompt.

use std::time::{Instant, SystemTime};

use axum::extract::{MatchedPath, Request};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use uuid::{Builder, Uuid};

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The longest id that is echoed.
const MAX_LENGTH: usize = 128;

/// The id of the request at hand.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) HeaderValue);

impl RequestId {
    /// The request's own where it is sane, else a new one.
    pub(crate) fn of(request: &Request) -> Self {
        match request.headers().get(&X_REQUEST_ID) {
            Some(sent) if is_sane(sent) => Self(sent.clone()),
            _ => Self(fresh()),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// What is kept of a request for its line in the log.
#[derive(Debug)]
pub(crate) struct Line {
    method: Method,
    route: Option<MatchedPath>,
    trace: Option<String>,
}

impl Line {
    pub(crate) fn of(request: &Request) -> Self {
        let trace =
            request.headers().get(&TRACEPARENT).and_then(trace_parent).map(|(trace, ..)| trace.to_owned());
        Self {
            method: request.method().clone(),
            route: request.extensions().get::<MatchedPath>().cloned(),
            trace,
        }
    }

    pub(crate) fn write(self, id: &RequestId, status: StatusCode, started: Instant) {
        tracing::debug!(
            method = %self.method,
            route = self.route.as_ref().map(MatchedPath::as_str),
            status = status.as_u16(),
            micros = started.elapsed().as_micros() as u64,
            request_id = id.as_str(),
            trace_id = self.trace,
            "answered"
        );
    }
}

/// Trace, parent and flags of a `traceparent`: `version-trace-parent-flags`, lower-case hexadecimal of 2, 32, 16 and 2 digits, neither the
/// trace nor the parent all 0. Later versions than 00 may have more after that.
pub(crate) fn trace_parent(value: &HeaderValue) -> Option<(&str, &str, &str)> {
    let text = value.to_str().ok()?;
    let mut parts = text.split('-');
    let mut part = |length: usize| {
        let part = parts.next().filter(|part| part.len() == length)?;
        part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')).then_some(part)
    };
    let (version, trace, parent, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    let more = parts.next().is_some();
    let some = |part: &str| part.bytes().any(|byte| byte != b'0');
    (version != "ff" && !(version == "00" && more) && some(trace) && some(parent))
        .then_some((trace, parent, flags))
}

/// Visible ASCII without quotes and backslashes: safe in every log and every header.
fn is_sane(id: &HeaderValue) -> bool {
    let bytes = id.as_bytes();
    (1..=MAX_LENGTH).contains(&bytes.len())
        && bytes.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'<' | b'>'))
}

fn fresh() -> HeaderValue {
    // Distinct, not secret: no need to ask the system for every request.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut random = [0; 10];
    fastrand::Rng::new().fill(&mut random);
    let id = Builder::from_unix_timestamp_millis(now.as_millis() as u64, &random).into_uuid();
    let mut buffer = Uuid::encode_buffer();
    let text: &str = id.hyphenated().encode_lower(&mut buffer);
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_valid_trace_is_taken() {
        let trace = |text: &'static str| {
            trace_parent(&HeaderValue::from_static(text)).map(|(trace, ..)| trace.to_owned())
        };
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").as_deref(), Some(id));
        assert_eq!(trace("00-00000000000000000000000000000000-00f067aa0ba902b7-01"), None);
        assert_eq!(trace("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"), None);
        assert_eq!(trace("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"), None);
        assert_eq!(trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"), None);
        assert_eq!(
            trace("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more").as_deref(),
            Some(id)
        );
        assert_eq!(trace("nonsense"), None);
    }

    #[test]
    fn only_sane_ids_are_echoed() {
        let sane = |text: &str| is_sane(&HeaderValue::from_str(text).unwrap());
        assert!(sane("abc-123_DEF.4/5"));
        assert!(!sane(""));
        assert!(!sane("a b"));
        assert!(!sane("<script>"));
        assert!(!sane(&"x".repeat(129)));
        assert!(!is_sane(&HeaderValue::from_bytes(b"\xff").unwrap()));
        assert!(is_sane(&fresh()));
    }
}
