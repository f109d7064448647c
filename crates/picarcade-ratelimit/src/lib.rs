#![doc = include_str!("../README.md")]

mod builder;
mod clock;
mod counter;
mod dollars;
mod error;
mod fallback;
pub mod headers;
mod lease;
mod ledger;
mod limit;
mod limiter;
mod memory;
mod name;
mod plan;
#[cfg(feature = "redis")]
mod redis;
mod report;
mod reservation;
mod scope;
mod sharded;
mod store;
#[cfg(feature = "tower")]
pub mod tower;
mod window;

pub use builder::LimiterBuilder;
pub use clock::Clock;
pub use dollars::{Dollars, MAX_AMOUNT, micros};
pub use error::{ConfigError, Error};
pub use fallback::Fallback;
pub use lease::Leases;
pub use ledger::Ledger;
pub use limit::{Limit, Unit};
pub use limiter::{Limiter, Statistics};
pub use memory::MemoryStore;
pub use name::Name;
pub use plan::{MAX_LIMITS, Plan};
#[cfg(feature = "redis")]
pub use redis::RedisStore;
pub use report::{Admission, Decision, Denial, Report, Status};
pub use reservation::Reservation;
pub use scope::{MAX_SUBJECT_BYTES, Scope, Subjects};
pub use sharded::{MAX_SHARDS, Shards};
pub use store::{Ask, Mode, Outcome, ReservationId, Settled, Store, Verdict};
pub use window::Window;
