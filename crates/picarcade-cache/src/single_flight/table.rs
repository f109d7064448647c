//! The table of the loads under way: which caller leads, and which result may be stored.
//!
//! A load is registered from before the levels are read until its result is stored. A key is
//! stored, removed and inserted under the lock of its shard of the table. This is how an
//! invalidation wins over a load under way: a removal takes the load out of the table. A load that
//! is no longer in the table may hand its result to its waiters, but it stores nothing.

use std::{
    collections::{HashMap, hash_map},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    key::{Key, KeyHash},
    single_flight::shared_load::SharedLoad,
};

const SHARDS: usize = 16;

/// A permit for one load under way, returned on drop.
///
/// A load holds it to its end, even after an invalidation took the load out of the table.
/// Otherwise, a key that is removed again and again would start loads without a bound.
pub(crate) struct LoadPermit(Arc<UnderWay>);

/// The number of permits in use.
#[derive(Default)]
struct UnderWay {
    count: AtomicUsize,
    none: Notify,
}

impl Drop for LoadPermit {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none.notify_waiters();
        }
    }
}

/// The part of a caller in the load of a missing key.
pub(crate) enum Role<V> {
    /// The caller loads the key. The load is registered.
    Leader(Arc<SharedLoad<V>>, LoadPermit),
    /// The caller waits for the leader.
    Follower(Arc<SharedLoad<V>>),
    /// Too many loads are under way.
    Rejected,
}

/// The loads under way of one cache.
pub(crate) struct SingleFlight<V> {
    shards: [Mutex<Shard<V>>; SHARDS],
    under_way: Arc<UnderWay>,
    limit: usize,
}

type Shard<V> = HashMap<Key, Arc<SharedLoad<V>>, KeyHash>;

impl<V> SingleFlight<V> {
    /// Creates a table for at most `limit` loads under way.
    pub(crate) fn new(limit: usize) -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), under_way: Arc::default(), limit }
    }

    fn shard(&self, key: &Key) -> &Mutex<Shard<V>> {
        // The remainder is below the length, so the compiler omits the bounds check.
        &self.shards[key.stripe() % SHARDS]
    }

    fn permit(&self) -> Option<LoadPermit> {
        let before = self.under_way.count.fetch_add(1, Ordering::AcqRel);
        let permit = LoadPermit(Arc::clone(&self.under_way));
        (before < self.limit).then_some(permit)
    }

    /// Joins the load of a key, or registers a new load for the caller to lead.
    pub(crate) fn join_or_lead(&self, key: &Key) -> Role<V> {
        match self.shard(key).lock().entry(*key) {
            hash_map::Entry::Occupied(load) => Role::Follower(Arc::clone(load.get())),
            hash_map::Entry::Vacant(vacant) => match self.permit() {
                Some(permit) => Role::Leader(Arc::clone(vacant.insert(SharedLoad::new())), permit),
                None => Role::Rejected,
            },
        }
    }

    /// Registers a new load in place of one that may be under way, whose result is then not stored.
    pub(crate) fn replace(&self, key: &Key) -> Option<(Arc<SharedLoad<V>>, LoadPermit)> {
        let (load, permit) = self.unregistered()?;
        self.shard(key).lock().insert(*key, Arc::clone(&load));
        Some((load, permit))
    }

    /// Returns a load that no other caller joins and whose result is not stored.
    pub(crate) fn unregistered(&self) -> Option<(Arc<SharedLoad<V>>, LoadPermit)> {
        self.permit().map(|permit| (SharedLoad::new(), permit))
    }

    /// Takes a load out of the table, and returns whether it was registered.
    ///
    /// `store` runs only for a registered load, that is, if nothing invalidated the key since the
    /// load began.
    pub(crate) fn finish(&self, key: &Key, load: &Arc<SharedLoad<V>>, store: impl FnOnce()) -> bool {
        let mut shard = self.shard(key).lock();
        let registered = shard.get(key).is_some_and(|current| Arc::ptr_eq(current, load));
        if registered {
            store();
            shard.remove(key);
        }
        registered
    }

    /// Takes the load of a key out of the table, then runs `change`. The load cannot undo the
    /// change.
    pub(crate) fn invalidate<R>(&self, key: &Key, change: impl FnOnce() -> R) -> R {
        let mut shard = self.shard(key).lock();
        shard.remove(key);
        change()
    }

    /// Takes every load out of the table.
    pub(crate) fn invalidate_all(&self) {
        for shard in &self.shards {
            shard.lock().clear();
        }
    }

    /// Returns the number of loads under way.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.count.load(Ordering::Acquire)
    }

    /// Waits until no load is under way.
    pub(crate) async fn none_under_way(&self) {
        loop {
            let mut none = std::pin::pin!(self.under_way.none.notified());
            // Enabled before the check, so that no end between the two is missed.
            none.as_mut().enable();
            if self.under_way() == 0 {
                return;
            }
            none.await;
        }
    }
}
