//! The replies of a provider. Each variant is rendered in the form of the called API.

use std::time::Duration;

use serde_json::Value;

use super::answer::Answer;

/// One scripted reply; see [`MockProvider::push`](super::MockProvider::push).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Reply {
    /// This answer.
    Answer(Answer),
    /// This object instead of the answer, in a correct envelope: missing fields, wrong types.
    Json(Value),
    /// Prose instead of the answer, in a correct envelope.
    Prose(String),
    /// The HTTP response as given.
    Status {
        /// The status code.
        code: u16,
        /// Header lines in addition to `content-type: application/json`.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// An internal error of the provider: 500.
    ServerError,
    /// Overload: 529 at Anthropic, 503 elsewhere.
    Overloaded,
    /// 429, with or without `retry-after` (in whole seconds, rounded up).
    RateLimited {
        /// When to retry.
        retry_after: Option<Duration>,
    },
    /// The balance of the account is exhausted, so retries fail: 429 at Anthropic and OpenAI, 402
    /// at Replicate.
    SpendLimit,
    /// The key is not accepted: 401.
    Unauthorized,
    /// No response, ever; the connection stays open.
    Hang,
    /// The connection is reset (RST) instead of a response.
    Reset,
    /// Half of the response body, then the connection is cut.
    HalfBody,
    /// Half of the response body in chunks, without the last one, then the connection is cut.
    HalfChunked,
    /// Status 200 and a body that is not JSON, as a broken gateway sends.
    NotJson,
    /// An answer with an unknown type.
    WrongEnum,
    /// The model refuses.
    Refusal,
    /// The token limit truncates the answer.
    Truncated,
    /// This reply with an encoded body, whether or not the caller accepts the coding.
    Encoded(Coding, Box<Self>),
    /// This reply after a delay.
    Slow(Duration, Box<Self>),
    /// A correct answer whose enhanced prompt is about this many bytes long.
    Huge(u64),
    /// A Replicate prediction that needs this number of polls, with or without `Prefer: wait`.
    /// Elsewhere an answer.
    Pending(u32),
    /// A Replicate prediction that ends without output. Elsewhere like
    /// [`ServerError`](Self::ServerError).
    Ended(PredictionEnd),
}

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Coding {
    /// `gzip`.
    Gzip,
    /// `deflate`: the zlib format.
    Deflate,
    /// `br` in uncompressed blocks.
    Brotli,
}

impl Coding {
    /// Returns the name in `content-encoding`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
        }
    }
}

impl Reply {
    /// Returns this reply with an encoded body.
    #[must_use]
    pub fn encoded(self, coding: Coding) -> Self {
        Self::Encoded(coding, Box::new(self))
    }

    /// Returns this reply after `delay`.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self::Slow(delay, Box::new(self))
    }
}

/// How a Replicate prediction ends without output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PredictionEnd {
    /// The model failed.
    Failed,
    /// The prediction was canceled.
    Canceled,
    /// The prediction was stopped before it began.
    Aborted,
}

impl PredictionEnd {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Aborted => "aborted",
        }
    }
}
