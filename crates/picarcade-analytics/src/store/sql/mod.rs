//! What the two databases share.

pub(crate) mod error;
pub(crate) mod migrations;
pub(crate) mod minutes;
pub(crate) mod plan;
pub(crate) mod retention;
pub(crate) mod rollup;
pub(crate) mod value;

pub use self::retention::Retention;
