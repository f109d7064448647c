//! Errors that a response describes in its body, whatever its status is.
//!
//! Gateways and streaming servers answer with status 200 before they know that the call fails, and
//! send an error object then. Its kind follows from its codes, from a status inside it, and from
//! its message, in this order. The words only choose the kind; codes are repeated, and of the
//! message what [`scrubbed`](super::message::scrubbed) leaves.

use serde_json::Value;

use super::error::ProviderErrorKind;

/// The maximum depth of nested error objects.
const MAX_NESTING: usize = 4;

/// The part of a message that is read, in bytes. The reason comes first, a quoted request last.
const MAX_MESSAGE_BYTES: usize = 300;

/// The places where responses describe an error.
const PLACES: [&str; 5] = ["/error", "/choices/0/error", "/errors/0", "/errors", "/0/error"];

/// The fields with codes, the most specific one first.
const CODES: [&str; 7] =
    ["/details/error_code", "/code", "/reason", "/status", "/type", "/error_code", "/name"];

/// The fields with an HTTP status.
const STATUSES: [&str; 5] = ["/code", "/status", "/status_code", "/statusCode", "/http_status"];

/// The fields with a message.
const MESSAGES: [&str; 5] = ["/message", "/detail", "/title", "/msg", "/error"];

/// The content of an error object.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault<'a> {
    pub(super) kind: ProviderErrorKind,
    /// The codes, unchanged and unchecked.
    pub(super) codes: Vec<&'a str>,
    /// The message, unchanged and unchecked; may be empty.
    pub(super) message: &'a str,
}

/// Returns the error that a body describes, if there is one.
pub(super) fn fault(body: &Value) -> Option<Fault<'_>> {
    let mut error = PLACES.iter().filter_map(|place| body.pointer(place)).find(|value| is_stated(value));
    // `{"error": true, "message": …}` describes the error next to the flag.
    if matches!(error, Some(Value::Bool(_) | Value::Number(_))) || is_error_itself(body) {
        error = error.filter(|error| error.is_object()).or(Some(body));
    }
    let mut error = error?;
    for _ in 0..MAX_NESTING {
        match error.get("error") {
            Some(inner) if inner.is_object() => error = inner,
            _ => break,
        }
    }
    if let Value::String(text) = error {
        let kind = kind_in(text).unwrap_or(ProviderErrorKind::Server);
        return Some(Fault { kind, codes: Vec::new(), message: text });
    }
    let text = |place: &&str| error.pointer(place).and_then(Value::as_str);
    let codes: Vec<&str> = CODES.iter().filter_map(&text).collect();
    let message = MESSAGES.iter().find_map(text).unwrap_or_default();
    let by_code = codes.iter().find_map(|code| kind_in(code));
    let by_status = || STATUSES.iter().find_map(|place| status(error.pointer(place)?)).map(kind_of);
    let kind = by_code.or_else(by_status).or_else(|| kind_in(message)).unwrap_or(ProviderErrorKind::Server);
    // Vendors report an exhausted budget as a bad request or as too many requests.
    let is_ambiguous = matches!(kind, ProviderErrorKind::Rejected | ProviderErrorKind::RateLimited);
    let kind = if is_ambiguous && is_spent(message) { ProviderErrorKind::SpendLimit } else { kind };
    Some(Fault { kind, codes, message })
}

/// Returns the kind of failure that the words of a code or a message name.
pub(super) fn kind_in(words: &str) -> Option<ProviderErrorKind> {
    use ProviderErrorKind as K;
    const KINDS: [(ProviderErrorKind, &[&str]); 7] = [
        (K::SpendLimit, &["billing", "insufficientquota", "credit", "spendlimit", "usagelimit", "payment"]),
        (
            K::Auth,
            &[
                "authentication",
                "apikey",
                "unauthenticated",
                "unauthorized",
                "permission",
                "forbidden",
                "modelnotfound",
                "notfounderror",
            ],
        ),
        (K::RateLimited, &["ratelimit", "toomanyrequests", "throttl", "resourceexhausted", "quota"]),
        (K::Overloaded, &["overload", "unavailable", "capacity", "highload", "busy", "e003", "e004"]),
        (K::Timeout, &["timeout", "timedout", "deadline"]),
        (
            K::Rejected,
            &[
                "invalid",
                "badrequest",
                "toolarge",
                "toolong",
                "contextlength",
                "contentfilter",
                "contentpolicy",
                "unprocessable",
                "unsupported",
                "e006",
            ],
        ),
        (K::Server, &["apierror", "servererror", "internal"]),
    ];
    let words = compact(words);
    KINDS.iter().find(|(_, stems)| stems.iter().any(|stem| words.contains(stem))).map(|(kind, _)| *kind)
}

/// Returns the kind of failure that a status means if the provider states nothing more.
pub(super) const fn kind_of(status: u16) -> ProviderErrorKind {
    match status {
        402 => ProviderErrorKind::SpendLimit,
        // An unknown model or path is a mistake in the configuration, like a wrong key.
        401 | 403 | 404 => ProviderErrorKind::Auth,
        // 524: a gateway that waited for an origin that had the request.
        408 | 504 | 524 => ProviderErrorKind::Timeout,
        429 => ProviderErrorKind::RateLimited,
        503 | 529 => ProviderErrorKind::Overloaded,
        400..500 => ProviderErrorKind::Rejected,
        _ => ProviderErrorKind::Server,
    }
}

fn is_code(word: &str) -> bool {
    kind_in(word).is_some()
}

fn is_spent(message: &str) -> bool {
    let message = compact(message);
    ["creditbalance", "exceededyourcurrentquota", "reachedyourspecified", "spendlimit"]
        .iter()
        .any(|words| message.contains(words))
}

/// Makes the spellings `RateLimitError`, `rate_limit` and `Rate limit` equal.
fn compact(words: &str) -> String {
    let letters = words.bytes().take(MAX_MESSAGE_BYTES).filter(u8::is_ascii_alphanumeric);
    letters.map(|byte| char::from(byte.to_ascii_lowercase())).collect()
}

/// Reads an HTTP status of a failure, as a number or as text.
fn status(value: &Value) -> Option<u16> {
    let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())?;
    u16::try_from(number).ok().filter(|status| (400..600).contains(status))
}

/// Returns whether a body is an error object itself, and not a response that contains one.
fn is_error_itself(body: &Value) -> bool {
    let is_marked = ["type", "object"].iter().any(|field| body[*field] == "error");
    let has_status = || STATUSES.iter().any(|place| body.pointer(place).and_then(status).is_some());
    let is_answer = ["content", "choices", "output", "id"].iter().any(|field| !body[*field].is_null());
    let has_message = || ["message", "detail"].iter().any(|field| is_stated(&body[*field]));
    let has_code = || ["type", "code"].iter().any(|field| body[*field].as_str().is_some_and(is_code));
    is_marked || (!is_answer && (has_status() || has_message() || has_code()))
}

/// Returns whether a field for an error states one. Many APIs send the field in every response.
fn is_stated(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is_error) => *is_error,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(values) => values.iter().any(is_stated),
        Value::Object(fields) => fields.values().any(is_stated),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_error_object_has_the_kind_that_it_names() {
        use ProviderErrorKind as K;
        for (body, kind) in [
            (
                json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
                K::Overloaded,
            ),
            (json!({"type": "error", "error": {"type": "rate_limit_error"}}), K::RateLimited),
            (json!({"error": {"type": "authentication_error"}}), K::Auth),
            (json!({"error": {"type": "billing_error"}}), K::SpendLimit),
            (
                json!({"error": {"type": "invalid_request_error", "message": "Your credit balance is too low"}}),
                K::SpendLimit,
            ),
            (json!({"error": {"type": "invalid_request_error", "code": "invalid_api_key"}}), K::Auth),
            (json!({"error": {"type": "invalid_request_error", "message": "bad"}}), K::Rejected),
            (json!({"error": {"code": "rate_limit_exceeded", "type": "requests"}}), K::RateLimited),
            (json!({"error": {"code": "insufficient_quota"}}), K::SpendLimit),
            (json!({"error": {"code": "model_not_found", "type": "invalid_request_error"}}), K::Auth),
            (json!({"error": {"code": 429, "message": "slow down"}}), K::RateLimited),
            (json!({"error": {"code": "503", "message": "sorry"}}), K::Overloaded),
            (json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}), K::RateLimited),
            (json!({"error": {"message": "litellm.RateLimitError: …", "type": null}}), K::RateLimited),
            (json!({"error": {"message": "Request timed out"}}), K::Timeout),
            (json!({"error": "Overloaded"}), K::Overloaded),
            (json!({"error": "Too many requests, please slow down"}), K::RateLimited),
            (json!({"error": "upstream exploded"}), K::Server),
            (json!({"error": true, "message": "upstream timeout"}), K::Timeout),
            (json!({"error": {"error": {"type": "overloaded_error"}}}), K::Overloaded),
            (json!({"errors": [{"code": 1000, "message": "service unavailable"}]}), K::Overloaded),
            (json!({"choices": [{"error": {"code": 502, "message": "x"}}]}), K::Server),
            (json!({"object": "error", "code": 400, "type": "BadRequestError"}), K::Rejected),
            (json!({"title": "Throttled", "detail": "wait", "status": 429}), K::RateLimited),
            (json!({"detail": "Internal error"}), K::Server),
            (json!({"error": {"strange": 1}}), K::Server),
            (json!({"type": "overloaded_error"}), K::Overloaded),
            (json!({"type": "rate_limit_error", "request_id": "r"}), K::RateLimited),
            (json!({"code": "rate_limit_exceeded"}), K::RateLimited),
            (json!({"statusCode": 503, "body": "{}"}), K::Overloaded),
            (json!({"http_status": "429"}), K::RateLimited),
            (json!([{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}]), K::RateLimited),
        ] {
            assert_eq!(fault(&body).map(|fault| fault.kind), Some(kind), "{body}");
        }
    }

    #[test]
    fn empty_error_fields_are_no_error() {
        for body in [
            json!(null),
            json!([]),
            json!({}),
            json!({"error": null}),
            json!({"error": false}),
            json!({"error": ""}),
            json!({"error": {}}),
            json!({"error": {"code": 0, "message": ""}}),
            json!({"errors": []}),
            json!({"type": "message", "content": []}),
            json!({"id": "x", "choices": [], "message": "m"}),
            json!({"id": "x", "status": "succeeded", "error": null}),
            json!({"type": "message"}),
            json!({"type": "overloaded_error", "content": []}),
            json!([{"content": []}]),
            json!({"code": "200"}),
        ] {
            assert_eq!(fault(&body), None, "{body}");
        }
    }
}
