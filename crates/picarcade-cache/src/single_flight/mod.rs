//! One load per missing key, however many callers ask for it.

pub(crate) mod caller;
pub(crate) mod completion;
pub(crate) mod flight;
pub(crate) mod load;
