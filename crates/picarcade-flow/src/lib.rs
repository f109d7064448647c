#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// Requests, answers, errors and settings.
mod caller;
mod choice;
mod degraded;
mod error;
mod id;
mod misspelling;
mod policy;
mod request;
mod response;
mod rules;
mod trace;
mod validate;

// The service, and the numbered steps of a request.
mod service;
mod step;

// State and records that the steps share.
mod answer_counts;
mod caches;
mod events;
mod ledger;
mod task;
mod worker_pool;

// The other operations of the service.
mod fleet;
mod forget;
mod health;
#[cfg(feature = "metrics")]
mod metrics;
mod outcome;
mod session;
mod statistics;

mod builder;
#[cfg(feature = "embedded")]
mod embedded;
#[cfg(feature = "openapi")]
pub mod openapi;

#[cfg(feature = "metrics")]
pub use self::metrics::describe_metrics;
#[cfg(feature = "metrics")]
pub use self::step::call_metrics::AI_CALL_DURATION;
pub use builder::FlowBuilder;
pub use caches::FlowCaches;
pub use caller::{Authority, Caller};
pub use choice::UnknownChoice;
pub use degraded::Degraded;
#[cfg(feature = "embedded")]
pub use embedded::EmbeddedError;
pub use error::{BuildError, FieldProblem, FlowError, MAX_PROBLEMS};
pub use fleet::message::{Override, ProviderEvent, ProviderUpdate};
pub use fleet::transport::Fleet;
pub use health::report::{ComponentHealth, Health, HealthStatus, HealthSummary};
pub use health::watch::RemoteWatch;
pub use id::{IdError, MAX_ID_BYTES, SessionId, UserId};
pub use ledger::CostLedger;
pub use misspelling::is_one_edit;
pub use outcome::charge::CostFlag;
pub use outcome::feedback::{Feedback, FeedbackRecorded};
pub use outcome::generations::{Generation, GenerationLog};
pub use outcome::report::{ErrorKind, OutcomeReport, Reported, SettledReport};
pub use policy::{CacheTtls, CostAction, Mode, Policy, default_limits};
pub use request::{CacheControl, FlowRequest};
pub use response::{
    BudgetBurn, CacheSources, Classified, CsvDecision, ModelAvailability, Processed, Response, StatsAnswer,
};
pub use rules::Rules;
pub use service::FlowService;
pub use session::memory::MemorySessions;
pub use session::store::{Session, SessionStore, SessionUpdate, StoreError};
pub use trace::{AiCall, Trace};
pub use validate::MAX_MEDIA;
pub use worker_pool::WorkerPool;
