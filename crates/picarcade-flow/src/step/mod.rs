//! The numbered steps of a request, in the order of the architecture document.

pub(crate) mod ai;
pub(crate) mod denials;
pub(crate) mod enhance;
pub(crate) mod intent;
pub(crate) mod route;
