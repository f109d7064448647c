#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// The handle, what it takes, and what it returns.
mod builder;
mod decision;
mod demand;
mod denial;
mod limiter;
mod report;
mod reservation;

// What is behind the handle.
mod inner;
mod statistics;

// What is limited, how one limit is counted, and where the counts are kept.
mod counter;
mod limit;
mod store;

// What stores share.
mod clock;
mod dollars;
mod error;
mod hash;
mod ledger;

// What a service adds.
pub mod headers;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "tower")]
pub mod tower;

#[cfg(feature = "metrics")]
pub use self::metrics::describe_metrics;
pub use builder::LimiterBuilder;
pub use clock::Clock;
pub use decision::{Admission, Decision};
pub use demand::Demand;
pub use denial::Denial;
pub use dollars::{MAX_AMOUNT, micros};
pub use error::{ConfigError, Error};
pub use ledger::ExpenseLedger;
pub use limit::{Limit, MAX_SUBJECT_BYTES, Name, ParseError, Plan, Scope, Subjects, Unit, Window};
pub use limiter::Limiter;
pub use report::{LimitStatus, Report};
pub use reservation::Reservation;
pub use statistics::LimiterStatistics;
#[cfg(feature = "redis")]
pub use store::RedisStore;
pub use store::{
    Ask, Leases, MemoryStore, Mode, Outcome, ReservationId, Settled, Shards, Store, StoreDecision,
};
