//! The handlers, one file for each subject. `router.rs` lists the routes.

pub(crate) mod process;

pub(crate) mod batch;
pub(crate) mod feedback;
pub(crate) mod outcome;
pub(crate) mod sessions;

pub(crate) mod catalog;
pub(crate) mod stats;
pub(crate) mod usage;

pub(crate) mod admin;
pub(crate) mod metrics;
pub(crate) mod openapi;
pub(crate) mod probes;
pub(crate) mod root;

mod query;
