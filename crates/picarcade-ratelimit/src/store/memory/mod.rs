//! Counts in this process.

mod cell;
mod decision;
mod reservations;
mod shard;
mod store;
mod table;

pub use store::MemoryStore;
