#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod event;
mod float;
mod limits;
mod privacy;
mod record;
mod table;
mod timestamp;
mod worth;

mod recorder;

mod private_file;
mod spool;
mod statistics;
mod store;

mod cause;
mod error;

pub use cause::Cause;
pub use error::Error;
pub use event::{
    ClassificationEvent, CostEvent, Event, FeedbackEvent, ModelSelectionEvent, OutcomeEvent,
    SystemPerformanceEvent, Word,
};
pub use privacy::{HashKey, Privacy, PrivacyError};
pub use record::{Record, new_id};
#[cfg(feature = "metrics")]
pub use recorder::describe_metrics;
pub use recorder::{Config, Counters, DropReason, Dropped, Recorder};
pub use statistics::{Period, Statistics};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use store::Retention;
#[cfg(feature = "sqlite")]
pub use store::SqliteStore;
pub use store::{
    FeedbackRow, FeedbackRows, GenerationRow, GenerationRows, Maintained, MemoryStore, SchemaState,
    SessionRow, SessionRows, Store,
};
#[cfg(feature = "postgres")]
pub use store::{PostgresOptions, PostgresStore};
pub use table::Table;
