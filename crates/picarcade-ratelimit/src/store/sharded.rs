//! Limits over many slots of a cluster: for fleets that outgrow one node.
//!
//! The counts of a user live in one of many shards, each with a hash tag of its own; the counts of API keys, endpoints and
//! of everything live in one more. No question ever spans two of them. What keeps the decision whole:
//!
//! - Requests against shared limits are taken from leases first (see [`Leases`](crate::Leases)): escrow that the shared
//!   slot has debited, so that `leases + spent <= limit` holds there whatever happens here. A denial in the user's shard
//!   puts them back.
//! - Dollars against shared limits are reserved in the shared slot first, then in the user's under the same id; a
//!   denial there releases the first. Settling settles both, and each of them once.
//!
//! A request without dollars is one round trip to its user's shard; a paid one is two. Between the two another request may
//! be denied by dollars that are about to be released: never admitted by dollars that are not there. Where the second
//! reservation cannot be asked for, the first is released, and failing that charged at its deadline.
//!
//! Reports name a shared limit on dollars only where dollars were asked for.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    Ask, Denial, Error, Outcome, Plan, Report, ReservationId, Scope, Settled, Status, Store, Subjects, Unit,
    Verdict,
};

/// The most shards: their number must fit beside the rest of a reservation's id.
pub const MAX_SHARDS: usize = 255;
/// In a reservation's id: it concerns no user.
const NOBODY: u8 = 255;

/// Where the counts are kept when they are spread.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Shards {
    /// For API keys, endpoints and everything.
    pub shared: Arc<dyn Store>,
    /// For users, 1 to 255. Their number and order are part of where counts are: to change them is to begin anew.
    pub users: Vec<Arc<dyn Store>>,
}

impl Shards {
    /// These stores, which must not share keys.
    #[must_use]
    pub fn new(shared: Arc<dyn Store>, users: Vec<Arc<dyn Store>>) -> Self {
        Self { shared, users }
    }
}

/// The part of a sharded limiter that is not leased.
#[derive(Debug)]
pub(crate) struct Split {
    shards: Shards,
    user: Plan,
    /// Limits on dollars only: those on requests are leased.
    shared: Plan,
}

impl Split {
    pub(crate) fn new(shards: Shards, plan: &Plan) -> Self {
        let of = |user: bool| {
            let limits = plan.limits().iter().filter(|limit| (limit.scope() == Scope::User) == user);
            Plan::of_valid(limits.filter(|limit| user || limit.unit() == Unit::Cost).cloned().collect())
        };
        Self { shards, user: of(true), shared: of(false) }
    }

    /// The names of the limits that have to be leased.
    pub(crate) fn leased(plan: &Plan) -> Vec<String> {
        let shared = plan
            .limits()
            .iter()
            .filter(|limit| limit.scope() != Scope::User && limit.unit() == Unit::Requests);
        shared.map(|limit| limit.name().to_owned()).collect()
    }

    fn shard(&self, subjects: &Subjects<'_>) -> u8 {
        let Some(user) = subjects.of(Scope::User).filter(|_| !self.user.limits().is_empty()) else {
            return NOBODY;
        };
        // FNV-1a: every process and version must come to the same shard.
        let hash = user.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        // The upper half alone hardly knows the last byte.
        ((hash ^ (hash >> 32)) % self.shards.users.len().max(1) as u64) as u8
    }

    fn store(&self, shard: u8) -> Option<&Arc<dyn Store>> {
        self.shards.users.get(usize::from(shard))
    }

    /// Takes back what was reserved in the shared slot. What cannot be taken back is charged at its deadline.
    async fn undo(&self, ask: &Ask<'_>) {
        let Some(id) = ask.reservation else { return };
        if let Err(error) = self.shards.shared.release(&self.shared, id).await {
            tracing::warn!(%error, "half of a reservation could not be released and stays charged");
        }
    }

    /// The same denial, with what the user's own limits say.
    async fn refuse(&self, ask: &Ask<'_>, mut denial: Denial) -> Denial {
        let Some(store) = self.store(self.shard(ask.subjects)) else { return denial };
        let Ok(own) = store.usage(&self.user, ask.subjects).await else { return denial };
        let violated = own.statuses.iter().filter(|status| {
            let asked = if status.unit == Unit::Cost { ask.cost_micros } else { ask.requests };
            asked > status.remaining
        });
        for status in violated {
            denial.violated.insert(0, *status);
            denial.retry_after = denial.retry_after.max(status.reset_after);
        }
        denial.report.statuses = joined(own.statuses, denial.report.statuses);
        denial
    }
}

fn joined(mut first: Vec<Status>, second: Vec<Status>) -> Vec<Status> {
    first.extend(second);
    first
}

#[async_trait]
impl Store for Split {
    async fn acquire(&self, ask: Ask<'_>) -> Result<Verdict, Error> {
        let mut shared = Vec::new();
        let paid = ask.cost_micros > 0 && !self.shared.limits().is_empty();
        if paid {
            match self.shards.shared.acquire(Ask { plan: &self.shared, requests: 0, ..ask }).await? {
                Verdict::Admitted(report) => shared = report.statuses,
                Verdict::Denied(denial) => return Ok(Verdict::Denied(self.refuse(&ask, denial).await)),
            }
        }
        let Some(store) = self.store(self.shard(ask.subjects)) else {
            return Ok(Verdict::Admitted(Report::new(shared, false)));
        };
        let answer = store.acquire(Ask { plan: &self.user, ..ask }).await;
        if paid && !matches!(answer, Ok(Verdict::Admitted(_))) {
            self.undo(&ask).await;
        }
        Ok(match answer? {
            Verdict::Admitted(report) => {
                Verdict::Admitted(Report::new(joined(report.statuses, shared), false))
            }
            Verdict::Denied(denial) => Verdict::Denied(denial),
        })
    }

    async fn settle(&self, _: &Plan, id: ReservationId, actual_micros: u64) -> Result<Settled, Error> {
        let shared = self.shards.shared.settle(&self.shared, id, actual_micros).await?;
        match self.store(id.shard()) {
            Some(store) => Ok(known(store.settle(&self.user, id, actual_micros).await?, shared)),
            None => Ok(shared),
        }
    }

    async fn release(&self, _: &Plan, id: ReservationId) -> Result<Settled, Error> {
        let shared = self.shards.shared.release(&self.shared, id).await?;
        match self.store(id.shard()) {
            Some(store) => Ok(known(store.release(&self.user, id).await?, shared)),
            None => Ok(shared),
        }
    }

    async fn usage(&self, _: &Plan, subjects: &Subjects<'_>) -> Result<Report, Error> {
        let shared = self.shards.shared.usage(&self.shared, subjects).await?.statuses;
        let own = match self.store(self.shard(subjects)) {
            Some(store) => store.usage(&self.user, subjects).await?.statuses,
            None => Vec::new(),
        };
        Ok(Report::new(joined(own, shared), false))
    }

    fn reservation_for(&self, subjects: &Subjects<'_>) -> ReservationId {
        ReservationId::random().in_shard(self.shard(subjects))
    }
}

/// Of two answers about one reservation, the one that knows it.
fn known(user: Settled, shared: Settled) -> Settled {
    if user.outcome == Outcome::Unknown { shared } else { user }
}
