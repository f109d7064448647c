//! The trace of a request, as the flow needs it.
//!
//! The flow depends on no tracing system. A program passes a trace with the
//! [`Caller`](crate::Caller). A call that many callers share belongs to the trace of the first one.
//!
//! A trace receives no part of a user's prompt.

use std::fmt::Debug;

use picarcade_intent::{Answer, ProviderError};

/// The trace of one request.
pub trait Trace: Send + Sync + Debug {
    /// Starts the span of a paid call of an AI provider. Each retry is a call of its own. Must not
    /// wait.
    fn ai_call(&self, provider: &str, model: &str) -> Box<dyn AiCall>;
}

/// A running call. A call that is dropped has ended with an unknown result.
pub trait AiCall: Send {
    /// Ends the call with its result and its cost. Must not wait.
    fn ended(self: Box<Self>, result: &Result<Answer, ProviderError>, cost_micros: u64);
}
