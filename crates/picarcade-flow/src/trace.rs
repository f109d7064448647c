//! What the flow tells a trace of a request.
//!
//! The flow knows no tracing system. Whoever asks hands one over with the [`Caller`](crate::Caller), and it goes wherever the
//! request goes: a call that many wait for belongs to the trace of whoever was first.
//!
//! Nothing that is told holds a word of a user.

use std::fmt::Debug;

use picarcade_intent::{Answer, ProviderError};

/// The trace of one request.
pub trait Trace: Send + Sync + Debug {
    /// A call of an AI provider begins: a paid one, retries each by themselves. Must not wait.
    fn ai_call(&self, provider: &str, model: &str) -> Box<dyn AiCall>;
}

/// A call under way. One that is dropped has ended, and nobody knows how.
pub trait AiCall: Send {
    /// It has ended so, and cost so many micro-dollars. Must not wait.
    fn ended(self: Box<Self>, result: &Result<Answer, ProviderError>, cost_micros: u64);
}
