//! A store before which leased limits are decided here.
//!
//! The limits that are not leased go to the store as ever, in one question; a denial there puts what was taken back into
//! the chunks. What a denial by a leased limit says of the others is what they would answer now, each by itself.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use super::Leases;
use super::place::Place;
use super::rule::{Lender, Rule};
use crate::{
    Ask, Denial, Error, Mode, Plan, Report, ReservationId, Settled, Status, Store, Subjects, Unit, Verdict,
};

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Leased {
    /// Where chunks are debited.
    lender: Lender,
    /// Where all else is decided.
    store: Arc<dyn Store>,
    rest: Plan,
    rules: Vec<Rule>,
}

/// What was taken from chunks for one request.
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
        let (ours, rest): (Vec<_>, Vec<_>) =
            plan.limits().iter().cloned().partition(|limit| is_leased(limit.name()));
        Self {
            lender: Lender::new(lender, leases, instances),
            store,
            rest: Plan::of_valid(rest),
            rules: ours.into_iter().map(|limit| Rule::new(limit, subjects)).collect(),
        }
    }

    /// How everything stands, in the plan's order.
    async fn survey(&self, plan: &Plan, subjects: &Subjects<'_>) -> Result<Report, Error> {
        let (mut rest, mut leased) = (Vec::new(), Vec::new());
        if !self.rest.limits().is_empty() {
            rest = self.store.usage(&self.rest, subjects).await?.statuses;
        }
        for rule in self.rules.iter().filter(|rule| subjects.of(rule.scope).is_some()) {
            leased.extend(self.lender.store.usage(&rule.plan, subjects).await?.statuses);
        }
        Ok(Report::new(merged(plan, rest, leased), false))
    }

    /// One denial of the leased limits that denied and of the others that would have, of which the store is asked once. What
    /// the leased ones say is known here.
    async fn refuse(
        &self,
        ask: &Ask<'_>,
        mut granted: Vec<Status>,
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
        let mut retry_after = denials.iter().map(|denial| denial.retry_after).max().unwrap_or_default();
        let mut possible = denials.iter().all(|denial| denial.possible);
        let mut others = Vec::new();
        for status in &rest {
            let asked = if status.unit == Unit::Cost { ask.cost_micros } else { ask.requests };
            if asked > status.remaining {
                others.push(*status);
                retry_after = retry_after.max(status.reset_after);
                possible &= asked <= status.limit;
            }
        }
        let (mut violated, mut refused) = (Vec::new(), Vec::new());
        for denial in denials {
            violated.extend(denial.violated);
            refused.extend(denial.report.statuses);
        }
        let leased = merged(ask.plan, granted, refused);
        let report = Report::new(merged(ask.plan, rest, leased), false);
        Ok(Denial::new(merged(ask.plan, others, violated), retry_after, possible, report))
    }
}

fn put_back(taken: &Taken, amount: u64) {
    for (place, id) in taken {
        place.put_back(*id, amount);
    }
}

/// Two lists in the plan's order made one.
fn merged(plan: &Plan, first: Vec<Status>, second: Vec<Status>) -> Vec<Status> {
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
    async fn acquire(&self, ask: Ask<'_>) -> Result<Verdict, Error> {
        let mut taken: Taken = Vec::with_capacity(self.rules.len());
        let mut leased: Vec<Status> = Vec::with_capacity(self.rules.len());
        let mut denials: Vec<Denial> = Vec::new();
        let now = Instant::now();
        for rule in &self.rules {
            let Some(subject) = ask.subjects.of(rule.scope) else { continue };
            if ask.requests == 0 {
                break;
            }
            let place = rule.place(subject, now);
            if let Some(id) = place.take(ask.requests, now, &mut leased) {
                taken.push((place, id));
                continue;
            }
            match self.lender.take(rule, &place, &ask).await {
                Ok(Ok((id, status))) => {
                    taken.push((place, id));
                    leased.push(status);
                }
                Ok(Err(denial)) => denials.push(denial),
                Err(error) => {
                    put_back(&taken, ask.requests);
                    return Err(error);
                }
            }
        }
        if !denials.is_empty() {
            put_back(&taken, ask.requests);
            return self.refuse(&ask, leased, denials).await.map(Verdict::Denied);
        }
        let concerned = ask.reservation.is_some()
            || self.rest.limits().iter().any(|limit| ask.subjects.of(limit.scope()).is_some());
        if !concerned {
            return Ok(Verdict::Admitted(Report::new(leased, false)));
        }
        match self.store.acquire(Ask { plan: &self.rest, ..ask }).await {
            Ok(Verdict::Admitted(mut report)) => {
                report.statuses = merged(ask.plan, report.statuses, leased);
                Ok(Verdict::Admitted(report))
            }
            Ok(Verdict::Denied(mut denial)) => {
                put_back(&taken, ask.requests);
                denial.report.statuses = merged(ask.plan, denial.report.statuses, leased);
                Ok(Verdict::Denied(denial))
            }
            Err(error) => {
                put_back(&taken, ask.requests);
                Err(error)
            }
        }
    }

    async fn settle(&self, _: &Plan, id: ReservationId, actual_micros: u64) -> Result<Settled, Error> {
        self.store.settle(&self.rest, id, actual_micros).await
    }

    async fn release(&self, _: &Plan, id: ReservationId) -> Result<Settled, Error> {
        self.store.release(&self.rest, id).await
    }

    async fn usage(&self, plan: &Plan, subjects: &Subjects<'_>) -> Result<Report, Error> {
        self.survey(plan, subjects).await
    }

    fn reservation_for(&self, subjects: &Subjects<'_>) -> ReservationId {
        self.store.reservation_for(subjects)
    }

    fn mode(&self) -> Mode {
        self.store.mode()
    }

    fn mode_changes(&self) -> u64 {
        self.store.mode_changes()
    }
}
