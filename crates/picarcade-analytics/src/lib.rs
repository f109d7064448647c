#![doc = include_str!("../README.md")]

mod config;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod database;
mod dead_letter;
mod error;
mod event;
mod float;
mod generation;
#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    allow(dead_code, reason = "the databases merge and store what the memory store adds up")
)]
mod histogram;
mod ledger;
mod memory;
#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    allow(dead_code, reason = "the databases merge and store what the memory store adds up")
)]
mod packed;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod plan;
#[cfg(feature = "postgres")]
mod postgres;
mod privacy;
mod private;
#[cfg(feature = "metrics")]
mod publish;
mod queue;
#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    allow(dead_code, reason = "the databases merge and store what the memory store adds up")
)]
mod record;
mod recorder;
mod retry;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod rollup;
mod session;
mod shared;
mod spiller;
mod spool;
#[cfg(feature = "sqlite")]
mod sqlite;
mod statistics;
#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    allow(dead_code, reason = "the databases merge and store what the memory store adds up")
)]
mod store;
#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    allow(dead_code, reason = "the databases merge and store what the memory store adds up")
)]
mod tally;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod text;
#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    allow(dead_code, reason = "the databases merge and store what the memory store adds up")
)]
mod timestamp;
mod worth;
mod writer;

pub use config::Config;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use database::Retention;
pub use error::Error;
pub use event::{
    ClassificationEvent, CostEvent, Event, ModelSelectionEvent, OutcomeEvent, SystemPerformanceEvent, Table,
    Word,
};
pub use generation::{GenerationRow, GenerationRows};
pub use ledger::{Counters, DropReason, Dropped};
pub use memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use postgres::{PostgresOptions, PostgresStore};
pub use privacy::{HashKey, Privacy};
pub use record::Record;
pub use recorder::Recorder;
pub use session::{SessionRow, SessionRows};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
pub use statistics::{Period, Statistics};
pub use store::{Maintained, SchemaState, Store};
