//! The contract between a limiter and the store of its counts.
//!
//! Every store of this crate passes one list of conformance tests for it:
//!
//! - `acquire` decides over all limits at once. It charges all or none of them, and no call sees
//!   another one half done.
//! - A denial charges nothing. An error charges nothing, except
//!   [`Error::Interrupted`](crate::Error::Interrupted).
//! - `acquire` repeated with the same id returns an admission and charges nothing more.
//! - `conclude` takes effect once. A repetition returns the first answer, marked as repeated.
//! - A reservation that is not settled by its deadline stays charged at its estimate.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

use crate::{Denial, Error, Plan, Report, Subjects, Unit};

/// The id of a reservation: opaque, and unique in the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ReservationId(uuid::Uuid);

impl ReservationId {
    /// Creates a new id (UUID version 7).
    #[must_use]
    pub fn random() -> Self {
        Self(uuid::Uuid::now_v7())
    }

    /// Parses an id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        uuid::Uuid::try_parse(text).ok().map(Self)
    }

    /// Writes the shard of the user's counts into the last byte, which is random in every version
    /// of UUID in use.
    pub(crate) fn in_shard(self, shard: u8) -> Self {
        let mut bytes = self.0.into_bytes();
        if let Some(last) = bytes.last_mut() {
            *last = shard;
        }
        Self(uuid::Uuid::from_bytes(bytes))
    }

    pub(crate) fn shard(self) -> u8 {
        self.0.into_bytes().last().copied().unwrap_or_default()
    }
}

impl fmt::Display for ReservationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.hyphenated(), f)
    }
}

/// One request to a store. Amounts are at most [`MAX_AMOUNT`](crate::MAX_AMOUNT) and subjects are
/// valid.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Ask<'a> {
    /// The limits.
    pub plan: &'a Plan,
    /// Whose limits.
    pub subjects: &'a Subjects<'a>,
    /// The number of requests.
    pub requests: u64,
    /// The micro-dollars to reserve.
    pub cost_micros: u64,
    /// The id of the reservation. It holds the dollars if any are asked for, otherwise the requests
    /// (a lease). Present if `cost_micros` is not 0.
    pub reservation: Option<ReservationId>,
    /// How long the reservation can be settled.
    pub ttl: Duration,
}

impl<'a> Ask<'a> {
    /// Creates a request that asks for no amounts.
    #[must_use]
    pub fn new(plan: &'a Plan, subjects: &'a Subjects<'a>) -> Self {
        Self { plan, subjects, requests: 0, cost_micros: 0, reservation: None, ttl: Duration::ZERO }
    }

    /// Sets the number of requests.
    #[must_use]
    pub fn requests(self, requests: u64) -> Self {
        Self { requests, ..self }
    }

    /// Reserves the requests under an id, so the unused part can be given back; see
    /// [`Leases`](crate::Leases).
    #[must_use]
    pub fn lease(self, id: ReservationId, ttl: Duration) -> Self {
        Self { reservation: Some(id), ttl, ..self }
    }

    /// Returns the amount that is asked of limits of `unit`.
    #[inline]
    pub(crate) fn amount(&self, unit: Unit) -> u64 {
        match unit {
            Unit::Requests => self.requests,
            Unit::Cost => self.cost_micros,
        }
    }

    /// Returns the unit and the amount that a reservation holds.
    pub(crate) fn held(&self) -> (Unit, u64) {
        let unit = if self.cost_micros > 0 { Unit::Cost } else { Unit::Requests };
        (unit, self.amount(unit))
    }

    /// Reserves dollars under an id.
    #[must_use]
    pub fn reserve(self, id: ReservationId, cost_micros: u64, ttl: Duration) -> Self {
        Self { cost_micros, reservation: Some(id), ttl, ..self }
    }
}

/// The decision of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreDecision {
    /// Every limit was charged.
    Admitted(Report),
    /// No limit was charged.
    Denied(Denial),
}

/// The result of one attempt to decide.
#[derive(Debug)]
pub(super) enum Step<Comparison> {
    Decided(StoreDecision),
    /// Dollar counters must be compared with the cost ledger first.
    Compare(Comparison),
}

/// How a reservation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// The actual cost replaced the estimate.
    Settled,
    /// The estimate was given back.
    Released,
    /// The settlement came after the deadline, when the estimate was final. A higher actual cost is
    /// charged in addition; the rest of a lower one is not given back.
    Expired,
    /// The reservation does not exist, or is forgotten. Nothing was charged or given back.
    Unknown,
}

/// The answer to settling or releasing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Settled {
    /// How the reservation ended.
    pub outcome: Outcome,
    /// The reserved amount.
    pub estimate_micros: u64,
    /// The final charge.
    pub charged_micros: u64,
    /// Whether this repeats an earlier answer, and nothing changed now.
    pub repeated: bool,
}

impl Settled {
    /// Creates the answer of a store.
    #[must_use]
    pub fn new(outcome: Outcome, estimate_micros: u64, charged_micros: u64, repeated: bool) -> Self {
        Self { outcome, estimate_micros, charged_micros, repeated }
    }

    /// Creates the answer for an unknown id.
    #[must_use]
    pub fn unknown() -> Self {
        Self::new(Outcome::Unknown, 0, 0, false)
    }
}

/// How a limiter decides at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Mode {
    /// By the counts of the store.
    #[default]
    Exact,
    /// By the share of this instance, because the store is unavailable. Dollars are rejected.
    Local,
}

impl Mode {
    /// Returns `exact` or `local`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Local => "local",
        }
    }
}

/// A store of counts.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// Checks every limit, then charges all of them or none.
    ///
    /// # Errors
    /// If no decision was made.
    async fn acquire(&self, ask: Ask<'_>) -> Result<StoreDecision, Error>;

    /// Settles a reservation: replaces its estimate by `actual_micros`. Without an actual cost,
    /// releases it: gives its estimate back.
    ///
    /// # Errors
    /// If the store is unavailable. The reservation stays as it is.
    async fn conclude(&self, id: ReservationId, actual_micros: Option<u64>) -> Result<Settled, Error>;

    /// Returns the state of the limits. Charges nothing.
    ///
    /// # Errors
    /// If the store is unavailable.
    async fn usage(&self, plan: &Plan, subjects: &Subjects<'_>) -> Result<Report, Error>;

    /// Returns an id for a reservation of these subjects. A store that distributes counts writes
    /// into it where they are.
    fn reservation_for(&self, subjects: &Subjects<'_>) -> ReservationId {
        let _ = subjects;
        ReservationId::random()
    }
}
