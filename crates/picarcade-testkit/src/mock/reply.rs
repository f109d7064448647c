//! What a provider may do to its caller. Each variant is rendered in the words of the API that was called.

use std::time::Duration;

use serde_json::Value;

use super::answer::Answer;

/// One scripted reply; see [`MockProvider::push`](super::MockProvider::push).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Reply {
    /// This answer.
    Answer(Answer),
    /// This object in the place of the answer, in a correct envelope: missing fields, wrong types.
    Json(Value),
    /// Prose in the place of the answer, in a correct envelope.
    Prose(String),
    /// The HTTP response as given.
    Status {
        /// The status code.
        code: u16,
        /// Header lines, beside `content-type: application/json`.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// An error of the provider's own: 500.
    ServerError,
    /// Too busy: 529 at Anthropic, 503 elsewhere.
    Overloaded,
    /// 429, with or without `retry-after` (in whole seconds, rounded up).
    RateLimited {
        /// When to come back.
        retry_after: Option<Duration>,
    },
    /// The account's money is used up, which no retry mends: 429 at Anthropic and OpenAI, 402 at Replicate.
    SpendLimit,
    /// The key is not accepted: 401.
    Unauthorized,
    /// No response, ever; the connection stays open.
    Hang,
    /// The connection is reset (RST) in the place of a response.
    Reset,
    /// Half of the response's body, then the connection is cut.
    HalfBody,
    /// Half of the response's body in chunks, without the last one, then the connection is cut.
    HalfChunked,
    /// Status 200 and a body that is not JSON, as a broken gateway sends.
    NotJson,
    /// An answer whose type is none of the twelve.
    WrongEnum,
    /// The model declines.
    Refusal,
    /// The answer is cut off by the token limit.
    Truncated,
    /// This reply with its body encoded, whether the caller accepts the coding or not.
    Encoded(Coding, Box<Self>),
    /// This reply, after a while.
    Slow(Duration, Box<Self>),
    /// A correct answer whose enhanced prompt is about this many bytes long.
    Huge(u64),
    /// A Replicate prediction that is still at work for so many polls, `Prefer: wait` or not. Elsewhere an answer.
    Pending(u32),
    /// A Replicate prediction that ends without output. Elsewhere as [`ServerError`](Self::ServerError).
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
    /// `br`, in blocks that are stored and not compressed.
    Brotli,
}

impl Coding {
    /// The name in `content-encoding`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
        }
    }
}

impl Reply {
    /// This reply with its body encoded.
    #[must_use]
    pub fn encoded(self, coding: Coding) -> Self {
        Self::Encoded(coding, Box::new(self))
    }

    /// This reply, after `delay`.
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
    /// Somebody cancelled it.
    Canceled,
    /// It was stopped before it began.
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
