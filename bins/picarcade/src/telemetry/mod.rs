//! What operators see of the process: logs, metrics and traces.

mod logs;

mod log_throttle;

pub(crate) mod metrics;
#[cfg(feature = "otel")]
pub(crate) mod traces;

pub(crate) use logs::{finish, start, start_quiet};
