//! What operators see of the process: logs, metrics and traces.

mod logs;

mod error_chain;
mod log_throttle;

pub(crate) mod metrics;
#[cfg(feature = "otel")]
pub(crate) mod traces;

pub(crate) use error_chain::chain;
pub(crate) use log_throttle::{ACCESS_TARGET, report_suppressed};
pub(crate) use logs::{start, start_quiet};
