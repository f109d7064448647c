//! One load per missing key: who leads, who waits, and whose result may be kept.
//!
//! A flight is registered from before the levels are read until its result is stored. Storing, removing and inserting a
//! key all happen under the lock of its part of the table, which gives the rule that invalidation beats a load under way:
//! a removal takes the flight out of the table, and a flight that is not in the table any more may hand its result to
//! those who waited, but stores nothing.

use std::{
    any::Any,
    collections::{HashMap, hash_map},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    entry::Entry,
    key::{Key, KeyHash},
    lookup::Source,
};

const SHARDS: usize = 16;

/// How a load ended.
pub(crate) enum Outcome<V> {
    Found(Entry<V>, Source),
    /// The loader's error; its type is the loader's own.
    Failed(Arc<dyn Any + Send + Sync>),
    Panicked,
    TimedOut,
    Overloaded,
    /// There is no value, and nothing to load one with.
    Absent,
    /// Whoever led has left before the load began: somebody else has to lead.
    Abandoned,
}

impl<V> Clone for Outcome<V> {
    fn clone(&self) -> Self {
        match self {
            Self::Found(entry, source) => Self::Found(entry.clone(), *source),
            Self::Failed(error) => Self::Failed(Arc::clone(error)),
            Self::Panicked => Self::Panicked,
            Self::TimedOut => Self::TimedOut,
            Self::Overloaded => Self::Overloaded,
            Self::Absent => Self::Absent,
            Self::Abandoned => Self::Abandoned,
        }
    }
}

/// One load under way.
pub(crate) struct Flight<V> {
    // One lock and one list of waiters: most flights are short reads that nobody else waits for.
    outcome: Mutex<Option<Outcome<V>>>,
    landed: Notify,
    waiters: AtomicUsize,
}

impl<V> Flight<V> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { outcome: Mutex::new(None), landed: Notify::new(), waiters: AtomicUsize::new(0) })
    }

    /// Hands out the outcome; the first one counts.
    pub(crate) fn land(&self, outcome: Outcome<V>) {
        let mut slot = self.outcome.lock();
        if slot.is_none() {
            *slot = Some(outcome);
            drop(slot);
            self.landed.notify_waiters();
        }
    }

    /// Waits for the end. The caller may leave at any time; the load does not notice.
    pub(crate) async fn wait(&self) -> Outcome<V> {
        loop {
            let mut landed = std::pin::pin!(self.landed.notified());
            // Listens before it looks, so that no landing is missed in between.
            landed.as_mut().enable();
            if let Some(outcome) = self.outcome.lock().clone() {
                return outcome;
            }
            landed.await;
        }
    }

    /// Takes a place among those who wait, unless there are too many.
    pub(crate) fn join(self: Arc<Self>, limit: usize) -> Option<Waiter<V>> {
        if self.waiters.fetch_add(1, Ordering::Relaxed) < limit {
            return Some(Waiter(self));
        }
        self.waiters.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

/// A place among those who wait for a flight.
pub(crate) struct Waiter<V>(Arc<Flight<V>>);

impl<V> Waiter<V> {
    pub(crate) async fn wait(&self) -> Outcome<V> {
        self.0.wait().await
    }
}

impl<V> Drop for Waiter<V> {
    fn drop(&mut self) {
        self.0.waiters.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A place among the loads under way, given back when this is dropped. A load keeps it to its end, also when an
/// invalidation has taken its flight out of the table: else a key that is removed again and again would make ever more loads.
pub(crate) struct Place(Arc<Taken>);

/// The places that are taken.
#[derive(Default)]
struct Taken {
    count: AtomicUsize,
    none: Notify,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none.notify_waiters();
        }
    }
}

/// What a caller is to do about a missing key.
pub(crate) enum Seat<V> {
    /// Load it: the flight is registered.
    Lead(Arc<Flight<V>>, Place),
    /// Wait for the one who does.
    Wait(Arc<Flight<V>>),
    /// Too many loads are under way.
    Full,
}

/// The loads under way of one cache.
pub(crate) struct Flights<V> {
    shards: [Mutex<Shard<V>>; SHARDS],
    taken: Arc<Taken>,
    limit: usize,
}

type Shard<V> = HashMap<Key, Arc<Flight<V>>, KeyHash>;

impl<V> Flights<V> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), taken: Arc::default(), limit }
    }

    fn shard(&self, key: &Key) -> &Mutex<Shard<V>> {
        // The remainder is below the length, which the compiler sees too.
        &self.shards[key.stripe() % SHARDS]
    }

    /// A place for one more load, unless there are too many.
    fn place(&self) -> Option<Place> {
        let before = self.taken.count.fetch_add(1, Ordering::AcqRel);
        let place = Place(Arc::clone(&self.taken));
        (before < self.limit).then_some(place)
    }

    /// Leads or joins the load of a key.
    pub(crate) fn board(&self, key: &Key) -> Seat<V> {
        match self.shard(key).lock().entry(*key) {
            hash_map::Entry::Occupied(flight) => Seat::Wait(Arc::clone(flight.get())),
            hash_map::Entry::Vacant(free) => match self.place() {
                Some(place) => Seat::Lead(Arc::clone(free.insert(Flight::new())), place),
                None => Seat::Full,
            },
        }
    }

    /// Registers a new load in place of one that may be under way, whose result is then not stored.
    pub(crate) fn displace(&self, key: &Key) -> Option<(Arc<Flight<V>>, Place)> {
        let (flight, place) = self.apart()?;
        self.shard(key).lock().insert(*key, Arc::clone(&flight));
        Some((flight, place))
    }

    /// A load that nobody joins and whose result is not stored.
    pub(crate) fn apart(&self) -> Option<(Arc<Flight<V>>, Place)> {
        self.place().map(|place| (Flight::new(), place))
    }

    /// Ends a flight. `store` runs only if the flight is still the one registered, that is, if nothing
    /// invalidated the key since it began. Returns whether that was so.
    pub(crate) fn finish(&self, key: &Key, flight: &Arc<Flight<V>>, store: impl FnOnce()) -> bool {
        let mut shard = self.shard(key).lock();
        let registered = shard.get(key).is_some_and(|current| Arc::ptr_eq(current, flight));
        if registered {
            store();
            shard.remove(key);
        }
        registered
    }

    /// Changes a key so that no load under way can undo it: the load is detached, then `change` runs.
    pub(crate) fn invalidate<R>(&self, key: &Key, change: impl FnOnce() -> R) -> R {
        let mut shard = self.shard(key).lock();
        shard.remove(key);
        change()
    }

    /// Detaches every load under way.
    pub(crate) fn invalidate_all(&self) {
        for shard in &self.shards {
            shard.lock().clear();
        }
    }

    /// Loads under way.
    pub(crate) fn under_way(&self) -> usize {
        self.taken.count.load(Ordering::Acquire)
    }

    /// Waits until no load is under way.
    pub(crate) async fn none_under_way(&self) {
        loop {
            let mut none = std::pin::pin!(self.taken.none.notified());
            // Listens before it looks, so that no end is missed in between.
            none.as_mut().enable();
            if self.under_way() == 0 {
                return;
            }
            none.await;
        }
    }
}
