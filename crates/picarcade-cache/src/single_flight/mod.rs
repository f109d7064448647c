//! One load per missing key, however many callers ask for it.

pub(crate) mod shared_load;
pub(crate) mod table;

pub(crate) mod caller;
pub(crate) mod completion;
pub(crate) mod load;
