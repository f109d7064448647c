//! `x-request-id`: echoed when the caller sent a sane one, made otherwise, on every response.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use hyper::header::{HeaderName, HeaderValue};
use uuid::Uuid;

use crate::http::problem;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is echoed.
const MAX_LENGTH: usize = 128;

/// The id of the request at hand.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) HeaderValue);

impl RequestId {
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// Gives the request its id and the response the same; also puts the errors of the router into the words of a problem.
pub(crate) async fn layer(mut request: Request, next: Next) -> Response {
    let id = match request.headers().get(&X_REQUEST_ID) {
        Some(sent) if is_sane(sent) => sent.clone(),
        _ => fresh(),
    };
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = problem::dress(next.run(request).await);
    response.headers_mut().insert(X_REQUEST_ID, id);
    response
}

/// Visible ASCII without quotes and backslashes: safe in every log and every header.
fn is_sane(id: &HeaderValue) -> bool {
    let bytes = id.as_bytes();
    (1..=MAX_LENGTH).contains(&bytes.len())
        && bytes.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'<' | b'>'))
}

fn fresh() -> HeaderValue {
    let mut buffer = Uuid::encode_buffer();
    let text: &str = Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
