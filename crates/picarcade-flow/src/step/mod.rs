//! The numbered steps of a request, in the order of the architecture document.

pub(crate) mod denials;
pub(crate) mod limits;

pub(crate) mod ai;
#[cfg(feature = "metrics")]
pub(crate) mod call_metrics;
pub(crate) mod intent;
pub(crate) mod paid_call;

pub(crate) mod enhance;
pub(crate) mod route;

pub(crate) mod record;

pub(crate) mod resolved;
