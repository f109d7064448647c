//! What a limiter asks of the place where counts are kept.
//!
//! The contract of a store, which every implementation here passes through one conformance list:
//!
//! - `acquire` decides over all limits at once: it charges all or none, and two calls never see each other half done.
//! - A denial charges nothing. An error charges nothing, except [`Error::Interrupted`](crate::Error::Interrupted).
//! - `acquire` repeated with the same id gives the first answer and charges nothing more.
//! - `settle` and `release` happen once: a repetition gives the first answer, marked as repeated.
//! - A reservation that is not settled by its deadline has been charged at its estimate.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

use crate::{Denial, Error, Plan, Report, Subjects, Unit};

/// The name of a reservation: opaque, unique in the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ReservationId(uuid::Uuid);

impl ReservationId {
    /// A new one (UUID version 7).
    #[must_use]
    pub fn random() -> Self {
        Self(uuid::Uuid::now_v7())
    }

    /// The id that `text` names, if it can be one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        uuid::Uuid::try_parse(text).ok().map(Self)
    }

    /// The same id, saying where its user's counts are. The last byte is random in every version of UUID in use.
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

/// One question to a store. Amounts are at most [`MAX_AMOUNT`](crate::MAX_AMOUNT) and subjects are valid.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Ask<'a> {
    /// The limits.
    pub plan: &'a Plan,
    /// Whose limits.
    pub subjects: &'a Subjects<'a>,
    /// How many requests.
    pub requests: u64,
    /// How many micro-dollars to reserve.
    pub cost_micros: u64,
    /// The reservation to make: of the dollars, if any are asked for, else of the requests (which is a lease). Present
    /// whenever `cost_micros` is not 0.
    pub reservation: Option<ReservationId>,
    /// How long the reservation waits to be settled.
    pub ttl: Duration,
}

impl<'a> Ask<'a> {
    /// A question that asks for nothing yet.
    #[must_use]
    pub fn new(plan: &'a Plan, subjects: &'a Subjects<'a>) -> Self {
        Self { plan, subjects, requests: 0, cost_micros: 0, reservation: None, ttl: Duration::ZERO }
    }

    /// How many requests.
    #[must_use]
    pub fn requests(self, requests: u64) -> Self {
        Self { requests, ..self }
    }

    /// Reserves the requests under an id, so that what is not used can be given back; see [`Leases`](crate::Leases).
    #[must_use]
    pub fn lease(self, id: ReservationId, ttl: Duration) -> Self {
        Self { reservation: Some(id), ttl, ..self }
    }

    /// What a reservation holds.
    pub(crate) fn held(&self) -> (Unit, u64) {
        if self.cost_micros > 0 { (Unit::Cost, self.cost_micros) } else { (Unit::Requests, self.requests) }
    }

    /// Which dollars to reserve, under which id, and for how long.
    #[must_use]
    pub fn reserve(self, id: ReservationId, cost_micros: u64, ttl: Duration) -> Self {
        Self { cost_micros, reservation: Some(id), ttl, ..self }
    }
}

/// A store's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Charged everywhere.
    Admitted(Report),
    /// Charged nowhere.
    Denied(Denial),
}

/// What became of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// The actual cost took the place of the estimate.
    Settled,
    /// Nothing was spent, and the estimate was given back.
    Released,
    /// It came after the deadline, when the estimate had been charged for good. What the actual cost exceeds it by is
    /// charged as well; what it falls short by is not given back.
    Expired,
    /// No such reservation, or one so long gone that it is forgotten. Nothing was charged or given back.
    Unknown,
}

/// The answer to settling or releasing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Settled {
    /// What became of it.
    pub outcome: Outcome,
    /// What had been reserved.
    pub estimate_micros: u64,
    /// What is charged for it in the end.
    pub charged_micros: u64,
    /// Whether this had been answered before, and nothing changed now.
    pub repeated: bool,
}

impl Settled {
    /// An answer, as a store gives it.
    #[must_use]
    pub fn new(outcome: Outcome, estimate_micros: u64, charged_micros: u64, repeated: bool) -> Self {
        Self { outcome, estimate_micros, charged_micros, repeated }
    }

    /// The answer about an id that nobody knows.
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
    /// From the counts themselves.
    #[default]
    Exact,
    /// From this instance's share of each limit, because the store cannot be asked; money is closed.
    Local,
}

impl Mode {
    /// `exact` or `local`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Local => "local",
        }
    }
}

/// A place where counts are kept.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// Checks every limit, then charges every limit.
    ///
    /// # Errors
    /// When nothing could be decided.
    async fn acquire(&self, ask: Ask<'_>) -> Result<Verdict, Error>;

    /// Puts `actual_micros` in the place of the reservation's estimate.
    ///
    /// # Errors
    /// When the store cannot be asked; the reservation stays as it is.
    async fn settle(&self, plan: &Plan, id: ReservationId, actual_micros: u64) -> Result<Settled, Error>;

    /// Gives the estimate back.
    ///
    /// # Errors
    /// As [`Store::settle`].
    async fn release(&self, plan: &Plan, id: ReservationId) -> Result<Settled, Error>;

    /// How the limits stand; charges nothing.
    ///
    /// # Errors
    /// When the store cannot be asked.
    async fn usage(&self, plan: &Plan, subjects: &Subjects<'_>) -> Result<Report, Error>;

    /// The id under which to reserve for these subjects: any, unless the store wants to find its way back by it.
    fn reservation_for(&self, subjects: &Subjects<'_>) -> ReservationId {
        let _ = subjects;
        ReservationId::random()
    }

    /// How it decides at present.
    fn mode(&self) -> Mode {
        Mode::Exact
    }

    /// How often [`Store::mode`] has changed.
    fn mode_changes(&self) -> u64 {
        0
    }
}
