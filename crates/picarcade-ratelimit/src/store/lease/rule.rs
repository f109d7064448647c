//! One leased limit, and how chunks of it are debited and given back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::quality::RandomState;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Leases;
use super::chunk::{Chunk, next_size};
use super::place::{Place, Refused, Waited};
use crate::limit::Shape;
use crate::{Ask, Denial, Error, Limit, Plan, ReservationId, Scope, Status, Store, Subjects, Verdict};

/// Between two searches for places that can be dropped; such a search looks at all of them.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// One leased limit.
#[derive(Debug)]
pub(super) struct Rule {
    /// The limit alone, as it is debited in the store.
    pub(super) plan: Arc<Plan>,
    pub(super) scope: Scope,
    /// A sub-bucket ends this long before what was charged in it stops to count.
    tail: Duration,
    places: Mutex<Places>,
    most_places: usize,
}

#[derive(Debug, Default)]
struct Places {
    /// Keyed at random: subjects are chosen by strangers.
    by_subject: HashMap<Box<str>, Arc<Place>, RandomState>,
    swept: Option<Instant>,
}

impl Rule {
    pub(super) fn new(limit: Limit, most_places: usize) -> Self {
        let tail = match limit.window().shape(limit.limit()) {
            Shape::Buckets(buckets) => Duration::from_micros(buckets.width * (buckets.span - 1)),
            Shape::Leaky(_) => Duration::ZERO,
        };
        let scope = limit.scope();
        let plan = Arc::new(Plan::of_valid(vec![limit]));
        Self { plan, scope, tail, places: Mutex::default(), most_places }
    }

    /// The place of a subject. At the bound places that hold nothing alive are dropped, then nothing more is remembered
    /// of new subjects: they are asked for one by one.
    pub(super) fn place(&self, subject: &str, now: Instant) -> Arc<Place> {
        let mut places = self.places.lock();
        if let Some(place) = places.by_subject.get(subject) {
            return Arc::clone(place);
        }
        let place = Arc::new(Place::default());
        let full = places.by_subject.len() >= self.most_places;
        if full && places.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP_EVERY) {
            places.swept = Some(now);
            places.by_subject.retain(|_, place| {
                Arc::strong_count(place) > 1
                    || place.held.lock().chunk.is_some_and(|chunk| !chunk.is_over(now))
            });
        }
        if places.by_subject.len() < self.most_places {
            places.by_subject.insert(subject.into(), Arc::clone(&place));
        }
        place
    }
}

/// Who debits chunks.
#[derive(Debug, Clone)]
pub(super) struct Lender {
    pub(super) store: Arc<dyn Store>,
    largest: u64,
    hold: Duration,
    instances: u64,
}

/// A chunk to be debited.
#[derive(Debug)]
struct Debit {
    lender: Lender,
    plan: Arc<Plan>,
    tail: Duration,
    place: Arc<Place>,
    subjects: Subjects<'static>,
    asked: u64,
}

type Granted = Result<Result<(ReservationId, Status), Denial>, Error>;

impl Lender {
    pub(super) fn new(store: Arc<dyn Store>, leases: &Leases, instances: u32) -> Self {
        Self { store, largest: leases.largest, hold: leases.hold, instances: u64::from(instances) }
    }

    /// Takes from the chunk of one limit, debiting another one where needed.
    pub(super) async fn take(&self, rule: &Rule, place: &Arc<Place>, ask: &Ask<'_>) -> Granted {
        let turn = match place.wait(ask.requests).await {
            Waited::Answered(Ok(denial)) => return Ok(Err(denial)),
            Waited::Answered(Err(error)) => return Err(error),
            Waited::Ours(turn) => turn,
        };
        // Whoever asked before us may have brought enough.
        let mut status = Vec::with_capacity(1);
        if let Some(id) = place.take(ask.requests, Instant::now(), &mut status)
            && let Some(status) = status.pop()
        {
            return Ok(Ok((id, status)));
        }
        let debit = Debit {
            lender: self.clone(),
            plan: Arc::clone(&rule.plan),
            tail: rule.tail,
            place: Arc::clone(place),
            subjects: ask.subjects.clone().into_owned(),
            asked: ask.requests,
        };
        let (sender, receiver) = oneshot::channel();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return Err(Error::Unavailable { reason: "leases need a tokio runtime".to_owned() });
        };
        // A task of its own: what the store has debited must be noted even if our caller leaves while it answers.
        runtime.spawn(async move {
            let mut turn = turn;
            let question = debit.place.ask();
            let answer = debit.run().await;
            *turn = match &answer {
                Ok(Ok(_)) => None,
                Ok(Err(denial)) => Some(Refused::new(question, debit.asked, Ok(denial.clone()))),
                Err(error) => Some(Refused::new(question, debit.asked, Err(error.clone()))),
            };
            drop(turn);
            if let Err(Ok(Ok((id, _)))) = sender.send(answer) {
                debit.place.put_back(id, debit.asked);
            }
        });
        receiver.await.unwrap_or_else(|_| {
            Err(Error::Unavailable { reason: "the task that asked for a lease has ended".to_owned() })
        })
    }

    /// A settlement that fails leaves the chunk charged, which is the strict side.
    fn settle_in_background(&self, plan: &Arc<Plan>, id: ReservationId, used: u64) {
        let (store, plan) = (Arc::clone(&self.store), Arc::clone(plan));
        tokio::spawn(async move {
            if let Err(error) = store.settle(&plan, id, used).await {
                tracing::debug!(%error, "the rest of a lease could not be given back");
            }
        });
    }
}

impl Debit {
    async fn run(&self) -> Granted {
        let size = self.give_up();
        let mut answer = self.question(size).await?;
        if size > self.asked && answer.is_err() {
            answer = self.question(self.asked).await?;
        }
        match answer {
            Ok(chunk) => {
                let status = chunk.status(Instant::now());
                let mut held = self.place.held.lock();
                held.remaining = Some(status.remaining);
                held.chunk = Some(chunk);
                drop(held);
                if !chunk.is_spent() {
                    self.give_back_in_time(chunk);
                }
                Ok(Ok((chunk.id, status)))
            }
            Err(denial) => {
                let remaining = denial.report.statuses.first().map(|status| status.remaining);
                self.place.held.lock().remaining = remaining;
                Ok(Err(denial))
            }
        }
    }

    /// Settles what is left of the last chunk; answers how large the next should be.
    fn give_up(&self) -> u64 {
        let mut held = self.place.held.lock();
        if let Some(chunk) = held.chunk.take() {
            held.last_used = chunk.used();
            self.lender.settle_in_background(&self.plan, chunk.id, chunk.used());
        }
        let (last, lender) = (held.last_used.max(self.asked), &self.lender);
        next_size(self.asked, last, held.remaining, lender.largest, lender.instances)
    }

    /// Debits `size` in the store.
    async fn question(&self, size: u64) -> Result<Result<Chunk, Denial>, Error> {
        let (id, before) = (ReservationId::random(), Instant::now());
        // Long enough to be settled late, short enough to be forgotten soon.
        let lease = Ask::new(&self.plan, &self.subjects)
            .requests(size)
            .lease(id, self.lender.hold * 2 + Duration::from_secs(5));
        let report = match self.lender.store.acquire(lease).await {
            Ok(Verdict::Denied(denial)) => return Ok(Err(denial)),
            Ok(Verdict::Admitted(report)) => report,
            Err(error) => {
                if matches!(error, Error::Interrupted { .. }) {
                    // It may have been debited, and nobody will spend it.
                    self.lender.settle_in_background(&self.plan, id, 0);
                }
                return Err(error);
            }
        };
        let Some(status) = report.statuses.first().copied() else {
            return Err(Error::Unavailable { reason: "the store said nothing of a lease".to_owned() });
        };
        // Counted from before the question: the bucket ends no earlier than this.
        let until = before + status.reset_after.saturating_sub(self.tail).min(self.lender.hold);
        Ok(Ok(Chunk::new(id, (size, self.asked), (Instant::now(), until), status)))
    }

    /// What is not spent when the chunk's time is over goes back, though nobody should ask again.
    fn give_back_in_time(&self, chunk: Chunk) {
        let (lender, plan, place) = (self.lender.clone(), Arc::clone(&self.plan), Arc::clone(&self.place));
        tokio::spawn(async move {
            tokio::time::sleep_until(chunk.until()).await;
            let used = {
                let mut held = place.held.lock();
                let Some(chunk) = held.chunk.take_if(|held| held.id == chunk.id) else { return };
                held.last_used = chunk.used();
                chunk.used()
            };
            lender.settle_in_background(&plan, chunk.id, used);
        });
    }
}
