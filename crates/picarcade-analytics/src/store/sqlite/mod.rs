//! Events, roll-ups and sessions in one SQLite file: the store of a standalone service.
//!
//! One connection writes, so writers queue here instead of in the busy handler of SQLite. Readers
//! use snapshots (write-ahead log). With `synchronous = NORMAL` a committed row survives a crash of
//! the process at once, and a loss of power after the next checkpoint.
//!
//! # Failure behavior
//!
//! A path that cannot be written is an error at opening. A locked file and a full or failing disk
//! are transient errors: the recorder keeps and spools the rows.

mod store;

mod connect;
mod error;

mod insert;
mod outcome;

mod lookup;
mod sums;

mod forget;
mod maintain;
mod rollup;

pub use self::store::SqliteStore;
