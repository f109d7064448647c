#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
//!
//! # Reading order
//!
//! `error` to `validate` are the vocabulary. `machine` is the state machine, without locks and
//! clocks. `gate` adds the lock and publishes what callers read without it. `window` counts the
//! recent calls, in `lane`s. `inner` combines them; `breaker`, `permit` and `call` are its
//! interface. `deadline`, `retry`, `bulkhead`, `http`, `layer` and `fleet` build on that interface
//! or stand alone.

mod error;
mod event;
mod name;
mod outcome;
mod state;

mod config;
mod validate;

mod clock;
mod lane;
mod sync;

mod gate;
mod inner;
mod machine;
#[cfg(feature = "metrics")]
mod metrics;
mod observe;
mod window;

mod breaker;
mod call;
mod permit;
mod registry;
mod statistics;

mod bulkhead;
mod deadline;
pub mod http;
mod retry;

#[cfg(feature = "tower")]
mod layer;

#[cfg(feature = "fleet")]
pub mod fleet;

#[cfg(test)]
mod races;

pub use self::{
    breaker::CircuitBreaker,
    bulkhead::{Bulkhead, BulkheadFull, BulkheadPermit, FullReason},
    call::{AnyError, Classify},
    clock::Clock,
    config::{Backoff, Config, Ramp, SlowCalls, WindowSize},
    deadline::{Deadline, DeadlineExceeded},
    error::{AsCause, BoxedError, CallError, ConfigError, Rejected},
    event::BreakerEvent,
    name::Name,
    outcome::{FailureKind, Outcome, Recorded},
    permit::{OwnedPermit, Permit},
    registry::Registry,
    retry::{Retry, RetryBackoff, RetryBudget, RetryError, RetryHint},
    state::{Cause, State},
    statistics::BreakerStatistics,
    window::WindowStatistics,
};

#[cfg(feature = "metrics")]
pub use self::metrics::describe_metrics;

#[cfg(feature = "tower")]
pub use self::layer::{
    BulkheadError, BulkheadLayer, BulkheadService, CircuitBreakerLayer, CircuitBreakerService,
    ResponseFuture, RetryLayer, RetryService,
};
