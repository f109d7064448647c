//! A store before which leased limits are decided here.
//!
//! The limits that are not leased go to the store as ever, in one question; a denial there puts what was taken back into
//! the chunks. What a denial by a leased limit says of the others is what they would answer now, each by itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::Leases;
use super::chunk::{Chunk, next_size};
use crate::window::Shape;
use crate::{
    Ask, Denial, Error, Mode, Plan, Report, ReservationId, Scope, Settled, Status, Store, Subjects, Unit,
    Verdict,
};

/// One leased limit.
#[derive(Debug)]
struct Rule {
    /// The limit alone, as it is debited in the store.
    plan: Plan,
    scope: Scope,
    /// A sub-bucket ends this long before what was charged in it stops to count.
    tail: Duration,
    places: Mutex<HashMap<Box<str>, Arc<Place>>>,
}

/// What is held of one limit for one subject.
#[derive(Debug, Default)]
struct Place {
    held: Mutex<Held>,
    /// One question to the store at a time.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Held {
    chunk: Option<(Chunk, Option<Instant>)>,
    last_used: u64,
    remaining: Option<u64>,
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Leased {
    /// Where chunks are debited.
    lender: Arc<dyn Store>,
    /// Where all else is decided.
    store: Arc<dyn Store>,
    rest: Plan,
    rules: Vec<Rule>,
    largest: u64,
    hold: Duration,
    instances: u64,
    most_places: usize,
}

/// What was taken from chunks for one request.
type Taken = Vec<(Arc<Place>, Status)>;

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
        let rules = ours.into_iter().map(|limit| {
            let tail = match limit.window().shape(limit.limit()) {
                Shape::Buckets(buckets) => Duration::from_micros(buckets.width * (buckets.span - 1)),
                Shape::Leaky(_) => Duration::ZERO,
            };
            Rule { scope: limit.scope(), plan: Plan::of_valid(vec![limit]), tail, places: Mutex::default() }
        });
        Self {
            lender,
            store,
            rest: Plan::of_valid(rest),
            rules: rules.collect(),
            largest: leases.largest,
            hold: leases.hold,
            instances: u64::from(instances),
            most_places: subjects,
        }
    }

    /// The place of a subject. At the bound places that hold nothing alive are dropped, then nothing more is remembered
    /// of new subjects: they are asked for one by one.
    fn place(&self, rule: &Rule, subject: &str) -> Arc<Place> {
        let mut places = rule.places.lock();
        if let Some(place) = places.get(subject) {
            return Arc::clone(place);
        }
        let place = Arc::new(Place::default());
        if places.len() >= self.most_places {
            let now = Instant::now();
            places.retain(|_, place| {
                Arc::strong_count(place) > 1
                    || place.held.lock().chunk.is_some_and(|(chunk, _)| !chunk.is_over(now))
            });
        }
        if places.len() < self.most_places {
            places.insert(subject.into(), Arc::clone(&place));
        }
        place
    }

    /// Takes from the chunk of one limit, debiting another one where needed.
    async fn take(
        &self,
        rule: &Rule,
        ask: &Ask<'_>,
        subject: &str,
    ) -> Result<Result<(Arc<Place>, Status), Denial>, Error> {
        let place = self.place(rule, subject);
        if let Some(status) = take_held(&place, ask.requests) {
            return Ok(Ok((place, status)));
        }
        let asking = place.asking.lock().await;
        // Whoever asked before us may have brought enough.
        if let Some(status) = take_held(&place, ask.requests) {
            drop(asking);
            return Ok(Ok((place, status)));
        }
        let size = self.give_up(rule, &place, ask.requests);
        let mut answer = self.debit(rule, ask, size).await?;
        if size > ask.requests && answer.is_err() {
            answer = self.debit(rule, ask, ask.requests).await?;
        }
        let answer = match answer {
            Ok(mut chunk) => {
                let now = Instant::now();
                // What was debited for this request is this request's, however late the answer came: the store has it.
                let fits = chunk.take(ask.requests, now);
                let status = chunk.status(now, now);
                if fits {
                    let mut held = place.held.lock();
                    held.remaining = Some(status.remaining);
                    held.chunk = Some((chunk, Some(now)));
                    Ok(status)
                } else {
                    self.settle_in_background(&rule.plan, chunk.id, ask.requests);
                    Ok(status)
                }
            }
            Err(denial) => {
                place.held.lock().remaining = denial.report.statuses.first().map(|status| status.remaining);
                Err(denial)
            }
        };
        drop(asking);
        Ok(answer.map(|status| (place, status)))
    }

    /// Settles what is left of the last chunk; answers how large the next should be.
    fn give_up(&self, rule: &Rule, place: &Place, asked: u64) -> u64 {
        let mut held = place.held.lock();
        if let Some((chunk, _)) = held.chunk.take() {
            held.last_used = chunk.used();
            self.settle_in_background(&rule.plan, chunk.id, chunk.used());
        }
        let size = next_size(asked, held.last_used.max(asked), held.remaining, self.largest, self.instances);
        drop(held);
        size
    }

    /// Debits `size` in the store.
    async fn debit(&self, rule: &Rule, ask: &Ask<'_>, size: u64) -> Result<Result<Chunk, Denial>, Error> {
        let (id, before) = (ReservationId::random(), Instant::now());
        // Long enough to be settled late, short enough to be forgotten soon.
        let lease = Ask::new(&rule.plan, ask.subjects)
            .requests(size)
            .lease(id, self.hold * 2 + Duration::from_secs(5));
        match self.lender.acquire(lease).await? {
            Verdict::Denied(denial) => Ok(Err(denial)),
            Verdict::Admitted(report) => {
                let Some(status) = report.statuses.first().copied() else {
                    return Err(Error::Unavailable {
                        reason: "the store said nothing of a lease".to_owned(),
                    });
                };
                // Counted from before the question: the bucket ends no earlier than this.
                let until = before + status.reset_after.saturating_sub(rule.tail).min(self.hold);
                Ok(Ok(Chunk::new(id, size, until, status)))
            }
        }
    }

    /// A settlement that fails leaves the chunk charged, which is the strict side.
    fn settle_in_background(&self, plan: &Plan, id: ReservationId, used: u64) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (store, plan) = (Arc::clone(&self.lender), plan.clone());
        runtime.spawn(async move {
            if let Err(error) = store.settle(&plan, id, used).await {
                tracing::debug!(%error, "the rest of a lease could not be given back");
            }
        });
    }

    /// How everything stands, in the plan's order.
    async fn survey(&self, plan: &Plan, subjects: &Subjects<'_>) -> Result<Report, Error> {
        let mut statuses = Vec::new();
        if !self.rest.limits().is_empty() {
            statuses = self.store.usage(&self.rest, subjects).await?.statuses;
        }
        for rule in self.rules.iter().filter(|rule| subjects.of(rule.scope).is_some()) {
            statuses.extend(self.lender.usage(&rule.plan, subjects).await?.statuses);
        }
        Ok(Report::new(ordered(plan, statuses), false))
    }
}

fn take_held(place: &Place, amount: u64) -> Option<Status> {
    let mut held = place.held.lock();
    let (chunk, debited) = held.chunk.as_mut()?;
    let now = Instant::now();
    chunk.take(amount, now).then(|| chunk.status(now, debited.unwrap_or(now)))
}

fn put_back(taken: &Taken, amount: u64) {
    for (place, _) in taken {
        if let Some((chunk, _)) = &mut place.held.lock().chunk {
            chunk.put_back(amount);
        }
    }
}

/// `statuses` in the order of the plan's limits.
fn ordered(plan: &Plan, mut statuses: Vec<Status>) -> Vec<Status> {
    let place = |status: &Status| plan.limits().iter().position(|limit| status.name == limit.name());
    statuses.sort_by_key(place);
    statuses
}

#[async_trait]
impl Store for Leased {
    async fn acquire(&self, ask: Ask<'_>) -> Result<Verdict, Error> {
        let (mut taken, mut denials): (Taken, Vec<Denial>) = (Vec::new(), Vec::new());
        for rule in &self.rules {
            let Some(subject) = ask.subjects.of(rule.scope) else { continue };
            if ask.requests == 0 {
                break;
            }
            match self.take(rule, &ask, subject).await {
                Ok(Ok(one)) => taken.push(one),
                Ok(Err(denial)) => denials.push(denial),
                Err(error) => {
                    put_back(&taken, ask.requests);
                    return Err(error);
                }
            }
        }
        if !denials.is_empty() {
            put_back(&taken, ask.requests);
            return self.refuse(&ask, denials).await.map(Verdict::Denied);
        }
        let leased = taken.iter().map(|(_, status)| *status);
        let concerned = ask.reservation.is_some()
            || self.rest.limits().iter().any(|limit| ask.subjects.of(limit.scope()).is_some());
        if !concerned {
            return Ok(Verdict::Admitted(Report::new(leased.collect(), false)));
        }
        match self.store.acquire(Ask { plan: &self.rest, ..ask }).await {
            Ok(Verdict::Admitted(mut report)) => {
                report.statuses.extend(leased);
                report.statuses = ordered(ask.plan, report.statuses);
                Ok(Verdict::Admitted(report))
            }
            Ok(Verdict::Denied(mut denial)) => {
                put_back(&taken, ask.requests);
                denial.report.statuses.extend(leased);
                denial.report.statuses = ordered(ask.plan, denial.report.statuses);
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

impl Leased {
    /// One denial of the leased limits that denied and of the others that would have.
    async fn refuse(&self, ask: &Ask<'_>, denials: Vec<Denial>) -> Result<Denial, Error> {
        let report = self.survey(ask.plan, ask.subjects).await?;
        let mut violated: Vec<Status> = denials.iter().flat_map(|denial| denial.violated.clone()).collect();
        let mut retry_after = denials.iter().map(|denial| denial.retry_after).max().unwrap_or_default();
        let mut possible = denials.iter().all(|denial| denial.possible);
        for status in &report.statuses {
            let asked = if status.unit == Unit::Cost { ask.cost_micros } else { ask.requests };
            let leased = self
                .rules
                .iter()
                .any(|rule| rule.plan.limits().iter().any(|limit| status.name == limit.name()));
            if !leased && asked > status.remaining {
                violated.push(*status);
                retry_after = retry_after.max(status.reset_after);
                possible &= asked <= status.limit;
            }
        }
        Ok(Denial::new(ordered(ask.plan, violated), retry_after, possible, report))
    }
}
