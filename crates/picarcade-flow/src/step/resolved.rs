//! The results that the steps pass on.

use std::sync::Arc;

use picarcade_cache::CacheSource;
use picarcade_intent::{MatrixRow, Request, Route, Verdict};

use crate::degraded::Degraded;
use crate::rules::Rules;

/// A verdict and its source: the result of steps 2 to 5.
#[derive(Debug)]
pub(crate) struct Classification {
    pub(crate) verdict: Arc<Verdict>,
    pub(crate) cache: CacheSource,
    /// What the request saved because an earlier or a concurrent one had paid for the verdict.
    pub(crate) saved_micros: u64,
    /// Why the local classifier answered in place of the AI.
    pub(crate) failed: Option<Degraded>,
}

impl Classification {
    pub(crate) fn cache_hit(&self) -> bool {
        matches!(self.cache, CacheSource::L1 | CacheSource::L2 | CacheSource::Stale)
    }
}

/// A request with its classification, model and enhanced prompt: the result of steps 2 to 6.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) request: Arc<Request>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) classification: Classification,
    pub(crate) row: MatrixRow,
    pub(crate) route: Route,
    /// The name of the route's model, shared by the events.
    pub(crate) model: Arc<str>,
    pub(crate) enhanced: (String, CacheSource),
    pub(crate) degraded: Vec<Degraded>,
    pub(crate) warnings: Vec<String>,
}
