//! How chunks of a leased limit are debited and given back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::quality::RandomState;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::chunk::{Chunk, next_size};
use super::leases::Leases;
use super::place::{Loan, Place, Refused};
use crate::limit::Shape;
use crate::{Ask, Denial, Error, Limit, Plan, ReservationId, Scope, Store, StoreDecision, Subjects};

/// The least time between two searches for places to drop, each of which visits all places.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// One leased limit, with the chunks of its subjects.
#[derive(Debug)]
pub(super) struct LeasedLimit {
    /// The limit alone, as it is debited in the store.
    pub(super) plan: Arc<Plan>,
    pub(super) scope: Scope,
    /// The time from the end of a sub-bucket until its charges no longer count.
    tail: Duration,
    places: Mutex<Places>,
    max_places: usize,
}

#[derive(Debug, Default)]
struct Places {
    /// Randomly seeded, because clients choose the subjects.
    by_subject: HashMap<Box<str>, Arc<Place>, RandomState>,
    swept: Option<Instant>,
}

impl LeasedLimit {
    pub(super) fn new(limit: Limit, max_places: usize) -> Self {
        let tail = match limit.window().shape(limit.limit()) {
            Shape::Buckets(buckets) => Duration::from_micros(buckets.width * (buckets.span - 1)),
            Shape::Leaky(_) => Duration::ZERO,
        };
        let scope = limit.scope();
        let plan = Arc::new(Plan::from_valid(vec![limit]));
        Self { plan, scope, tail, places: Mutex::default(), max_places }
    }

    /// Returns the place of a subject. At the bound, places without a usable chunk are dropped. If
    /// none can be dropped, new subjects are not remembered and debit single requests.
    pub(super) fn place(&self, subject: &str, now: Instant) -> Arc<Place> {
        let mut places = self.places.lock();
        if let Some(place) = places.by_subject.get(subject) {
            return Arc::clone(place);
        }
        let place = Arc::new(Place::default());
        let full = places.by_subject.len() >= self.max_places;
        if full && places.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP_INTERVAL) {
            places.swept = Some(now);
            places.by_subject.retain(|_, place| {
                Arc::strong_count(place) > 1 || place.held.lock().chunk.is_some_and(|chunk| now < chunk.until)
            });
        }
        if places.by_subject.len() < self.max_places {
            places.by_subject.insert(subject.into(), Arc::clone(&place));
        }
        place
    }
}

/// The store that chunks are debited from, and their settings.
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

impl Lender {
    pub(super) fn new(store: Arc<dyn Store>, leases: &Leases, instances: u32) -> Self {
        Self { store, largest: leases.largest, hold: leases.hold, instances: u64::from(instances) }
    }

    /// Takes from the chunk of one limit, and debits another chunk if needed.
    pub(super) async fn take(&self, limit: &LeasedLimit, place: &Arc<Place>, ask: &Ask<'_>) -> Loan {
        let turn = match place.wait(ask.requests).await {
            Ok(turn) => turn,
            Err(refusal) => return refusal,
        };
        // An earlier debit may have brought enough.
        if let Some(granted) = place.take(ask.requests, Instant::now()) {
            return granted;
        }
        let debit = Debit {
            lender: self.clone(),
            plan: Arc::clone(&limit.plan),
            tail: limit.tail,
            place: Arc::clone(place),
            subjects: ask.subjects.clone().into_owned(),
            asked: ask.requests,
        };
        let (sender, receiver) = oneshot::channel();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return Loan::Failed(Error::Unavailable { reason: "leases need a tokio runtime".to_owned() });
        };
        // A separate task, because a debited chunk must be recorded even if the caller leaves.
        runtime.spawn(async move {
            let mut turn = turn;
            let number = debit.place.start_debit();
            let result = debit.run().await;
            *turn = Refused::new(number, debit.asked, &result);
            drop(turn);
            if let Err(Loan::Granted { chunk, .. }) = sender.send(result) {
                debit.place.put_back(chunk, debit.asked);
            }
        });
        receiver.await.unwrap_or_else(|_| {
            Loan::Failed(Error::Unavailable { reason: "the task that debits a lease has ended".to_owned() })
        })
    }

    /// Settles a chunk. If that fails, the chunk stays charged, so no limit is exceeded.
    fn settle_in_background(&self, id: ReservationId, used: u64) {
        let store = Arc::clone(&self.store);
        tokio::spawn(async move {
            if let Err(error) = store.conclude(id, Some(used)).await {
                tracing::debug!(%error, "rest of a lease could not be given back");
            }
        });
    }
}

impl Debit {
    async fn run(&self) -> Loan {
        let size = self.end_last_chunk();
        let mut answer = self.debit(size).await;
        if size > self.asked && matches!(answer, Ok(Err(_))) {
            answer = self.debit(self.asked).await;
        }
        match answer {
            Ok(Ok(chunk)) => {
                let status = chunk.status(Instant::now());
                let mut held = self.place.held.lock();
                held.remaining = Some(status.remaining);
                held.chunk = Some(chunk);
                drop(held);
                if chunk.used < chunk.granted {
                    self.give_back_in_time(chunk);
                }
                Loan::Granted { chunk: chunk.id, status }
            }
            Ok(Err(denial)) => {
                let remaining = denial.report.statuses.first().map(|status| status.remaining);
                self.place.held.lock().remaining = remaining;
                Loan::Denied(denial)
            }
            Err(error) => Loan::Failed(error),
        }
    }

    /// Settles the last chunk, and returns the size of the next one.
    fn end_last_chunk(&self) -> u64 {
        let mut held = self.place.held.lock();
        if let Some(chunk) = held.chunk.take() {
            held.last_used = chunk.used;
            self.lender.settle_in_background(chunk.id, chunk.used);
        }
        let (last, lender) = (held.last_used.max(self.asked), &self.lender);
        next_size(self.asked, last, held.remaining, lender.largest, lender.instances)
    }

    /// Debits `size` in the store.
    async fn debit(&self, size: u64) -> Result<Result<Chunk, Denial>, Error> {
        let (id, before) = (ReservationId::random(), Instant::now());
        // Long enough for a late settlement, and short enough to be forgotten soon.
        let lease = Ask::new(&self.plan, &self.subjects)
            .requests(size)
            .lease(id, self.lender.hold * 2 + Duration::from_secs(5));
        let report = match self.lender.store.acquire(lease).await {
            Ok(StoreDecision::Denied(denial)) => return Ok(Err(denial)),
            Ok(StoreDecision::Admitted(report)) => report,
            Err(error) => {
                if matches!(error, Error::Interrupted { .. }) {
                    // The chunk may have been debited, and no request can use it.
                    self.lender.settle_in_background(id, 0);
                }
                return Err(error);
            }
        };
        let Some(status) = report.statuses.first().copied() else {
            return Err(Error::Unavailable { reason: "the store did not report a leased limit".to_owned() });
        };
        // Measured from before the request, so the chunk ends no later than its bucket.
        let until = before + status.reset_after.saturating_sub(self.tail).min(self.lender.hold);
        let debited = Instant::now();
        Ok(Ok(Chunk { id, granted: size, used: self.asked, debited, until, status }))
    }

    /// Settles the chunk when its time is over, even if no request follows.
    fn give_back_in_time(&self, chunk: Chunk) {
        let (lender, place) = (self.lender.clone(), Arc::clone(&self.place));
        tokio::spawn(async move {
            tokio::time::sleep_until(chunk.until).await;
            let used = {
                let mut held = place.held.lock();
                let Some(chunk) = held.chunk.take_if(|held| held.id == chunk.id) else { return };
                held.last_used = chunk.used;
                chunk.used
            };
            lender.settle_in_background(chunk.id, used);
        });
    }
}
