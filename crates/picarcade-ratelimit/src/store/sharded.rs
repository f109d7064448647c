//! Limits over many slots of a cluster, for fleets that outgrow one node.
//!
//! The counts of a user are in one of many shards, each with its own hash tag. The counts of API
//! keys, endpoints and the global scope are in one more, the shared slot. No script spans two of
//! them. The decision stays consistent as follows:
//!
//! - Requests against shared limits are taken from leases first (see [`Leases`](crate::Leases)).
//!   The shared slot has debited them, so `leases + spent <= limit` always holds there. A denial in
//!   the user's shard puts them back.
//! - Dollars against shared limits are reserved in the shared slot first, then in the user's shard
//!   under the same id. A denial in the shard releases the first reservation. A settlement settles
//!   both, each of them once.
//!
//! A request without dollars takes one round trip to the shard of its user, and a paid one takes
//! two. Between the two, another request may be denied by dollars that are about to be released,
//! but never admitted by dollars that do not exist. If the second reservation fails, the first is
//! released. If that fails too, it is charged at its deadline.
//!
//! Reports contain a shared limit on dollars only if dollars were asked for.

use std::sync::Arc;

use async_trait::async_trait;

use crate::denial::Refusals;
use crate::hash::{fnv1a, folded};
use crate::{
    Ask, Denial, Error, LimitStatus, Outcome, Plan, Report, ReservationId, Scope, Settled, Store,
    StoreDecision, Subjects, Unit,
};

/// The most shards: the number of a shard is one byte of a reservation's id.
pub(crate) const MAX_SHARDS: usize = 255;
/// The shard in the id of a reservation without a user.
const NO_SHARD: u8 = 255;

/// The stores of distributed counts.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Shards {
    /// The store of API keys, endpoints and the global scope.
    pub shared: Arc<dyn Store>,
    /// The stores of users, 1 to 255. Their number and order decide where counts are, so a change
    /// starts new counts.
    pub users: Vec<Arc<dyn Store>>,
}

impl Shards {
    /// Combines stores, which must not share keys.
    #[must_use]
    pub fn new(shared: Arc<dyn Store>, users: Vec<Arc<dyn Store>>) -> Self {
        Self { shared, users }
    }
}

/// The store of a sharded limiter for all limits that are not leased.
#[derive(Debug)]
pub(crate) struct Split {
    shards: Shards,
    user: Plan,
    /// Only limits on dollars, because those on requests are leased.
    shared: Plan,
}

impl Split {
    pub(crate) fn new(shards: Shards, plan: &Plan) -> Self {
        let of = |user: bool| {
            let limits = plan.limits().iter().filter(|limit| (limit.scope() == Scope::User) == user);
            Plan::from_valid(limits.filter(|limit| user || limit.unit() == Unit::Cost).cloned().collect())
        };
        Self { shards, user: of(true), shared: of(false) }
    }

    /// Returns the names of the limits that must be leased.
    pub(crate) fn leased(plan: &Plan) -> Vec<String> {
        let shared = plan
            .limits()
            .iter()
            .filter(|limit| limit.scope() != Scope::User && limit.unit() == Unit::Requests);
        shared.map(|limit| limit.name().to_owned()).collect()
    }

    fn shard(&self, subjects: &Subjects<'_>) -> u8 {
        let Some(user) = subjects.of(Scope::User).filter(|_| !self.user.limits().is_empty()) else {
            return NO_SHARD;
        };
        (folded(fnv1a(user.bytes())) % self.shards.users.len().max(1) as u64) as u8
    }

    fn store(&self, shard: u8) -> Option<&Arc<dyn Store>> {
        self.shards.users.get(usize::from(shard))
    }

    /// Releases the reservation in the shared slot. If that fails, it is charged at its deadline.
    async fn release_shared(&self, ask: &Ask<'_>) {
        let Some(id) = ask.reservation else { return };
        if let Err(error) = self.shards.shared.conclude(id, None).await {
            tracing::warn!(%error, "shared part of a reservation could not be released and stays charged");
        }
    }

    /// Adds the user's own limits to a denial of the shared slot.
    async fn with_user_limits(&self, ask: &Ask<'_>, denial: Denial) -> Denial {
        let Some(store) = self.store(self.shard(ask.subjects)) else { return denial };
        let Ok(own) = store.usage(&self.user, ask.subjects).await else { return denial };
        let mut refusals = Refusals::default();
        for status in &own.statuses {
            refusals.add_if_exceeded(status, ask.amount(status.unit));
        }
        let shared = refusals.merge(denial);
        refusals.into_denial(Report::new(joined(own.statuses, shared.statuses), shared.local))
    }
}

fn joined(mut first: Vec<LimitStatus>, second: Vec<LimitStatus>) -> Vec<LimitStatus> {
    first.extend(second);
    first
}

#[async_trait]
impl Store for Split {
    async fn acquire(&self, ask: Ask<'_>) -> Result<StoreDecision, Error> {
        let mut shared = Vec::new();
        let paid = ask.cost_micros > 0 && !self.shared.limits().is_empty();
        if paid {
            match self.shards.shared.acquire(Ask { plan: &self.shared, requests: 0, ..ask }).await? {
                StoreDecision::Admitted(report) => shared = report.statuses,
                StoreDecision::Denied(denial) => {
                    return Ok(StoreDecision::Denied(self.with_user_limits(&ask, denial).await));
                }
            }
        }
        let Some(store) = self.store(self.shard(ask.subjects)) else {
            return Ok(StoreDecision::Admitted(Report::new(shared, false)));
        };
        let answer = store.acquire(Ask { plan: &self.user, ..ask }).await;
        if paid && !matches!(answer, Ok(StoreDecision::Admitted(_))) {
            self.release_shared(&ask).await;
        }
        Ok(match answer? {
            StoreDecision::Admitted(report) => {
                StoreDecision::Admitted(Report::new(joined(report.statuses, shared), false))
            }
            StoreDecision::Denied(denial) => StoreDecision::Denied(denial),
        })
    }

    async fn conclude(&self, id: ReservationId, actual_micros: Option<u64>) -> Result<Settled, Error> {
        let shared = self.shards.shared.conclude(id, actual_micros).await?;
        let Some(store) = self.store(id.shard()) else { return Ok(shared) };
        let user = store.conclude(id, actual_micros).await?;
        // The answer of the one that knows the reservation.
        Ok(if user.outcome == Outcome::Unknown { shared } else { user })
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
