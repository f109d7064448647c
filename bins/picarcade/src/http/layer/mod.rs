//! What every request passes before and after its handler.

pub(crate) mod stack;

pub(crate) mod load_shed;
pub(crate) mod request_id;
pub(crate) mod span;
