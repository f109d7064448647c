//! Where counts are kept. Each store has its own file or folder.

mod contract;

mod memory;
#[cfg(feature = "redis")]
mod redis;

mod fallback;
mod lease;
mod sharded;

pub use contract::{Ask, Mode, Outcome, ReservationId, Settled, Store, StoreDecision};
pub(crate) use fallback::Fallback;
pub(crate) use lease::Leased;
pub use lease::Leases;
pub use memory::MemoryStore;
#[cfg(feature = "redis")]
pub use redis::RedisStore;
pub use sharded::Shards;
pub(crate) use sharded::{MAX_SHARDS, Split};
