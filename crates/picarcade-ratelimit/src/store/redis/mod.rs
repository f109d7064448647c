//! Counts in Redis.

mod answers;
mod arrival;
mod batch;
mod gathering;
mod keys;
mod scripts;
mod state;
mod store;
pub(crate) mod wire;

pub use store::RedisStore;
