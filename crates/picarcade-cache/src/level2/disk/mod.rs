//! The second level on the disk of this machine, for one process.

mod error;
mod record;
mod store;

mod inbox;
mod remote;
mod writer;

pub use error::DiskError;
pub use remote::{DiskRemote, DiskStatus};
