//! Counts in this process.

mod store;

mod reservations;
mod trial;

mod shard;
mod table;

pub use store::MemoryStore;
