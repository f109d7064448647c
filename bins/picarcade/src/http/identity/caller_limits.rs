//! The current limits of a caller.

use std::time::Duration;

use picarcade_flow::{Caller, FlowService};
use picarcade_ratelimit::Report;

/// How long a response waits for the current limits. It goes without them if their store takes
/// longer.
pub(super) const READ_TIMEOUT: Duration = Duration::from_millis(500);

/// Returns the current limits of a caller, and consumes nothing. `None` if their store does not
/// answer in time.
pub(crate) async fn current_limits(flow: &FlowService, caller: &Caller) -> Option<Report> {
    tokio::time::timeout(READ_TIMEOUT, flow.usage(caller)).await.ok()?.ok()
}
