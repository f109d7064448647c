//! What every request passes before and after its handler.

pub(crate) mod stack;

pub(crate) mod access;

pub(crate) mod load_shed;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod request_id;
pub(crate) mod span;
pub(crate) mod trace_context;
