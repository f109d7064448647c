//! Sessions: the working medium that a user has open between requests.

pub(crate) mod memory;
pub(crate) mod service;
pub(crate) mod store;
