//! `x-request-id` on every response: echoed if the client sent a usable one, generated otherwise.

use axum::extract::Request;
use hyper::header::{HeaderName, HeaderValue};
use picarcade_analytics::new_id;
use uuid::Uuid;

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is echoed.
const MAX_LENGTH: usize = 128;

/// The id of one request.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) HeaderValue);

impl RequestId {
    /// Returns the id that the client sent if it is usable, else a new one.
    pub(crate) fn of(request: &Request) -> Self {
        match request.headers().get(&X_REQUEST_ID) {
            Some(sent) if is_usable(sent) => Self(sent.clone()),
            _ => Self(generate()),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// Returns whether an id is visible ASCII without quotes and backslashes, which is safe in every
/// log and in every header.
fn is_usable(id: &HeaderValue) -> bool {
    let bytes = id.as_bytes();
    (1..=MAX_LENGTH).contains(&bytes.len())
        && bytes.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'<' | b'>'))
}

fn generate() -> HeaderValue {
    let mut buffer = Uuid::encode_buffer();
    let text: &str = new_id().hyphenated().encode_lower(&mut buffer);
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_usable_ids_are_echoed() {
        let usable = |text: &str| is_usable(&HeaderValue::from_str(text).unwrap());
        assert!(usable("abc-123_DEF.4/5"));
        assert!(!usable(""));
        assert!(!usable("a b"));
        assert!(!usable("<script>"));
        assert!(!usable(&"x".repeat(129)));
        assert!(!is_usable(&HeaderValue::from_bytes(b"\xff").unwrap()));
        assert!(is_usable(&generate()));
    }
}
