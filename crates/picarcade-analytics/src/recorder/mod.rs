//! The way of an event from the request path to the store.
//!
//! The request path holds a [`Recorder`]. One background task owns everything else: a writer, a
//! spiller and a loop that calls the maintenance of the store.

mod config;
#[allow(clippy::module_inception, reason = "the folder is named after its entry type")]
mod recorder;
mod shared;

mod ledger;
mod queue;

mod backoff;
mod dead_letter;
mod disk;
#[cfg(feature = "metrics")]
mod metrics;
mod spiller;
mod task;
mod writer;

pub use self::config::Config;
pub use self::ledger::{Counters, DropReason, Dropped};
#[cfg(feature = "metrics")]
pub use self::metrics::describe_metrics;
pub use self::recorder::Recorder;
