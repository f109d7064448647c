#![doc = include_str!("../README.md")]

mod config;
mod dead_letter;
mod error;
mod event;
mod float;
mod histogram;
mod ledger;
mod memory;
mod privacy;
#[cfg(feature = "metrics")]
mod publish;
mod queue;
mod record;
mod recorder;
mod retry;
mod session;
mod shared;
mod spiller;
mod spool;
//SQLMOD
mod statistics;
mod store;
mod tally;
mod timestamp;
mod worth;
mod writer;

pub use config::Config;
pub use error::Error;
pub use event::{
    ClassificationEvent, CostEvent, Event, ModelSelectionEvent, OutcomeEvent, SystemPerformanceEvent, Table,
    Word,
};
pub use ledger::{Counters, DropReason, Dropped};
pub use memory::MemoryStore;
pub use privacy::{HashKey, Privacy};
pub use record::Record;
pub use recorder::Recorder;
pub use session::{SessionRow, SessionRows};
//SQLUSE
pub use statistics::{Period, Statistics};
pub use store::{Maintained, SchemaState, Store};
