#![doc = include_str!("../README.md")]

mod degraded;
mod error;
mod request;
mod response;

mod policy;
mod rules;
mod session;

mod ai;
mod caches;
mod charge;
mod denials;
mod enhance;
mod events;
mod fleet;
mod generations;
mod intent;
mod ledger;
mod outcome;
mod report;
mod route;
mod trace;

mod builder;
mod forget;
mod health;
mod process;
mod service;
mod working;

#[cfg(feature = "embedded")]
mod embedded;

pub use builder::FlowBuilder;
pub use caches::CacheLevels;
pub use charge::CostFlag;
pub use degraded::Degraded;
#[cfg(feature = "embedded")]
pub use embedded::EmbeddedError;
pub use error::{BuildError, FieldProblem, FlowError, MAX_PROBLEMS};
pub use fleet::{Fleet, Override, ProviderEvent, ProviderNews};
pub use generations::{Generation, GenerationLog};
pub use health::{ComponentHealth, Health, HealthSummary, RemoteWatch, Status};
pub use ledger::CostLedger;
pub use outcome::{ErrorKind, OutcomeReport, Reported, SettledReport};
pub use policy::{CacheTtls, CostAction, Mode, Policy, default_limits};
pub use request::{Authority, CacheControl, Caller, FlowRequest, MAX_ID_BYTES, MAX_MEDIA};
pub use response::{
    BudgetBurn, CacheWords, Classified, CsvDecision, ModelAvailability, Processed, Response, StatsAnswer,
};
pub use rules::Rules;
pub use service::FlowService;
pub use session::{MemorySessions, Session, SessionStore, SessionUpdate, StoreError};
pub use trace::{AiCall, Trace};
