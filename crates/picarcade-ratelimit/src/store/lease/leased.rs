//! A store that decides leased limits in this process.
//!
//! The other limits are decided by the inner store in one request. If it denies, the requests that
//! were taken from chunks are put back. A denial by a leased limit also reports the other limits,
//! each by its present state.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use super::leases::Leases;
use super::lender::{LeasedLimit, Lender};
use super::place::{Loan, Place};
use crate::denial::Refusals;
use crate::{
    Ask, Denial, Error, LimitStatus, Plan, Report, ReservationId, Settled, Store, StoreDecision, Subjects,
};

/// A store that decides leased limits in this process.
#[derive(Debug)]
pub(crate) struct Leased {
    lender: Lender,
    /// Decides all limits that are not leased.
    store: Arc<dyn Store>,
    rest: Plan,
    limits: Vec<LeasedLimit>,
}

/// The chunks that one request took from.
type Taken = Vec<(Arc<Place>, ReservationId)>;

impl Leased {
    pub(crate) fn new(
        (lender, store): (Arc<dyn Store>, Arc<dyn Store>),
        plan: &Plan,
        leases: &Leases,
        instances: u32,
        subjects: usize,
    ) -> Self {
        let is_leased = |name: &str| leases.names.iter().any(|leased| leased == name);
        let (leased, rest): (Vec<_>, Vec<_>) =
            plan.limits().iter().cloned().partition(|limit| is_leased(limit.name()));
        Self {
            lender: Lender::new(lender, leases, instances),
            store,
            rest: Plan::from_valid(rest),
            limits: leased.into_iter().map(|limit| LeasedLimit::new(limit, subjects)).collect(),
        }
    }

    /// Combines the denials of leased limits with the other limits that have no room, which takes
    /// one request to the store.
    async fn deny(
        &self,
        ask: &Ask<'_>,
        mut granted: Vec<LimitStatus>,
        denials: Vec<Denial>,
    ) -> Result<Denial, Error> {
        let rest = match self.rest.limits() {
            [] => Vec::new(),
            _ => self.store.usage(&self.rest, ask.subjects).await?.statuses,
        };
        for status in &mut granted {
            status.used = status.used.saturating_sub(ask.requests);
            status.remaining = status.remaining.saturating_add(ask.requests).min(status.limit);
        }
        let (mut refusals, mut denied) = (Refusals::default(), Vec::new());
        for denial in denials {
            denied.extend(refusals.merge(denial).statuses);
        }
        for status in &rest {
            refusals.add_if_exceeded(status, ask.amount(status.unit));
        }
        let leased = merged(ask.plan, granted, denied);
        Ok(refusals.into_denial(Report::new(merged(ask.plan, rest, leased), false)))
    }
}

fn put_back(taken: &Taken, amount: u64) {
    for (place, id) in taken {
        place.put_back(*id, amount);
    }
}

/// Merges two lists that are in the order of the plan.
fn merged(plan: &Plan, first: Vec<LimitStatus>, second: Vec<LimitStatus>) -> Vec<LimitStatus> {
    if first.is_empty() {
        return second;
    }
    if second.is_empty() {
        return first;
    }
    let mut all = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter().peekable(), second.into_iter().peekable());
    for blank in plan.groups().flat_map(|(_, group)| group.blank.iter()) {
        all.extend(first.next_if(|status| status.name == blank.name));
        all.extend(second.next_if(|status| status.name == blank.name));
    }
    all
}

#[async_trait]
impl Store for Leased {
    async fn acquire(&self, ask: Ask<'_>) -> Result<StoreDecision, Error> {
        let mut taken: Taken = Vec::with_capacity(self.limits.len());
        let mut leased: Vec<LimitStatus> = Vec::with_capacity(self.limits.len());
        let mut denials: Vec<Denial> = Vec::new();
        let now = Instant::now();
        for limit in &self.limits {
            let Some(subject) = ask.subjects.of(limit.scope) else { continue };
            if ask.requests == 0 {
                break;
            }
            let place = limit.place(subject, now);
            let loan = match place.take(ask.requests, now) {
                Some(granted) => granted,
                None => self.lender.take(limit, &place, &ask).await,
            };
            match loan {
                Loan::Granted { chunk, status } => {
                    taken.push((place, chunk));
                    leased.push(status);
                }
                Loan::Denied(denial) => denials.push(denial),
                Loan::Failed(error) => {
                    put_back(&taken, ask.requests);
                    return Err(error);
                }
            }
        }
        if !denials.is_empty() {
            put_back(&taken, ask.requests);
            return self.deny(&ask, leased, denials).await.map(StoreDecision::Denied);
        }
        let concerns_the_store = ask.reservation.is_some()
            || self.rest.limits().iter().any(|limit| ask.subjects.of(limit.scope()).is_some());
        if !concerns_the_store {
            return Ok(StoreDecision::Admitted(Report::new(leased, false)));
        }
        let answer = self.store.acquire(Ask { plan: &self.rest, ..ask }).await;
        if !matches!(answer, Ok(StoreDecision::Admitted(_))) {
            put_back(&taken, ask.requests);
        }
        let mut decision = answer?;
        let report = match &mut decision {
            StoreDecision::Admitted(report) => report,
            StoreDecision::Denied(denial) => &mut denial.report,
        };
        report.statuses = merged(ask.plan, std::mem::take(&mut report.statuses), leased);
        Ok(decision)
    }

    async fn conclude(&self, id: ReservationId, actual_micros: Option<u64>) -> Result<Settled, Error> {
        self.store.conclude(id, actual_micros).await
    }

    async fn usage(&self, plan: &Plan, subjects: &Subjects<'_>) -> Result<Report, Error> {
        let (mut rest, mut leased) = (Vec::new(), Vec::new());
        if !self.rest.limits().is_empty() {
            rest = self.store.usage(&self.rest, subjects).await?.statuses;
        }
        for limit in self.limits.iter().filter(|limit| subjects.of(limit.scope).is_some()) {
            leased.extend(self.lender.store.usage(&limit.plan, subjects).await?.statuses);
        }
        Ok(Report::new(merged(plan, rest, leased), false))
    }

    fn reservation_for(&self, subjects: &Subjects<'_>) -> ReservationId {
        self.store.reservation_for(subjects)
    }
}
