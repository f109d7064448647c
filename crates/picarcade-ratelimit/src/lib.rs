#![doc = include_str!("../README.md")]

mod limiter;

mod builder;
mod report;
mod reservation;

mod limit;

mod counter;

mod store;

mod ledger;

mod clock;
mod dollars;
mod error;

pub mod headers;
#[cfg(feature = "tower")]
pub mod tower;

pub use builder::LimiterBuilder;
pub use clock::Clock;
pub use dollars::{Dollars, MAX_AMOUNT, micros};
pub use error::{ConfigError, Error};
pub use ledger::Ledger;
pub use limit::{Limit, MAX_LIMITS, MAX_SUBJECT_BYTES, Name, Plan, Scope, Subjects, Unit, Window};
pub use limiter::{Limiter, Statistics};
pub use report::{Admission, Decision, Denial, Report, Status};
pub use reservation::Reservation;
#[cfg(feature = "redis")]
pub use store::RedisStore;
pub use store::{
    Ask, Fallback, Leases, MAX_SHARDS, MemoryStore, Mode, Outcome, ReservationId, Settled, Shards, Store,
    Verdict,
};
