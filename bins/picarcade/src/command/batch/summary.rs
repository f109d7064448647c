//! What a batch did: the last line on standard error, and the exit code.

use std::collections::BTreeMap;
use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use picarcade_flow::{AiCall, Trace};
use picarcade_intent::{Answer, ProviderError};
use serde_json::{Map, Value};

use super::resume::Earlier;
use crate::command::Failure;

/// The counts of a batch.
#[derive(Debug)]
pub(super) struct Summary {
    started: Instant,
    /// The rows that an earlier run answered, of which `earlier_failed` failed.
    earlier: u64,
    earlier_failed: u64,
    rows: u64,
    failed: u64,
    sources: BTreeMap<String, u64>,
    /// The rows for which an AI was wanted, and those of them that it did not answer.
    wanted: u64,
    unanswered: u64,
    spent: Spent,
}

/// What the paid calls cost, in micro-dollars.
#[derive(Clone, Debug, Default)]
pub(super) struct Spent(Arc<AtomicU64>);

impl Summary {
    pub(super) fn new(earlier: &Earlier) -> Self {
        Self {
            started: Instant::now(),
            earlier: earlier.rows,
            earlier_failed: earlier.failed,
            rows: 0,
            failed: 0,
            sources: BTreeMap::new(),
            wanted: 0,
            unanswered: 0,
            spent: Spent::default(),
        }
    }

    /// Returns what receives the costs.
    pub(super) fn spent(&self) -> Spent {
        self.spent.clone()
    }

    pub(super) const fn failed(&self) -> u64 {
        self.failed
    }

    /// Counts one result.
    pub(super) fn count(&mut self, row: &Map<String, Value>) {
        self.rows += 1;
        if row.get("success") != Some(&Value::Bool(true)) {
            self.failed += 1;
            return;
        }
        let source = row.get("source").and_then(Value::as_str).unwrap_or("other");
        *self.sources.entry(source.to_owned()).or_default() += 1;
        let is_unanswered = row.get("used_fallback") == Some(&Value::Bool(true));
        self.wanted += u64::from(is_unanswered || source == "llm");
        self.unanswered += u64::from(is_unanswered);
    }

    /// Returns the end of the batch: a failure if a row failed, or if an AI was wanted and did not
    /// answer more than half of the time.
    pub(super) fn end(&self) -> Result<ExitCode, Failure> {
        let (failed, rows) = (self.failed + self.earlier_failed, self.rows + self.earlier);
        if failed > 0 {
            return Err(Failure::work(format!("{failed} of {rows} rows failed")));
        }
        if self.unanswered * 2 > self.wanted {
            let (unanswered, wanted) = (self.unanswered, self.wanted);
            let line = format!("the AI did not answer for {unanswered} of the {wanted} rows that needed it");
            return Err(Failure::work(line));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows in {:.1} s", self.rows, self.started.elapsed().as_secs_f64())?;
        if self.earlier > 0 {
            write!(f, " after {} earlier ones", self.earlier)?;
        }
        write!(f, ": {} failed", self.failed)?;
        for (source, rows) in &self.sources {
            write!(f, ", {rows} {source}")?;
        }
        let dollars = self.spent.0.load(Ordering::Relaxed) as f64 / 1e6;
        write!(f, "; AI calls cost ${dollars:.4}")
    }
}

impl Trace for Spent {
    fn ai_call(&self, _provider: &str, _model: &str) -> Box<dyn AiCall> {
        Box::new(self.clone())
    }
}

impl AiCall for Spent {
    fn ended(self: Box<Self>, _result: &Result<Answer, ProviderError>, cost_micros: u64) {
        self.0.fetch_add(cost_micros, Ordering::Relaxed);
    }
}
