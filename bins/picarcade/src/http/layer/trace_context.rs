//! The trace that a request belongs to (W3C Trace Context).

use hyper::header::{HeaderName, HeaderValue};

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Returns the trace, the parent and the flags of a `traceparent`.
///
/// The form is `version-trace-parent-flags`, in lower-case hexadecimal of 2, 32, 16 and 2 digits.
/// Neither the trace nor the parent may be all zeros. Versions after 00 may have more parts.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_valid_trace_is_read() {
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
        assert_eq!(trace("malformed"), None);
    }
}
