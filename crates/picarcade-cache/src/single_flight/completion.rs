//! The end of a load: its result is stored or not, and its waiters are released exactly once.

use std::sync::Arc;

use crate::{
    CacheSource, Key, Options,
    entry::Entry,
    inner::Inner,
    level1::invalidations::Standing,
    single_flight::{
        shared_load::{Completion, SharedLoad},
        table::LoadPermit,
    },
};

/// The duty to complete a shared load. Dropped early, it completes the load without a value.
pub(crate) struct CompletionGuard<V> {
    pub(crate) inner: Arc<Inner<V>>,
    pub(crate) key: Key,
    shared: Arc<SharedLoad<V>>,
    _permit: LoadPermit,
    /// Whether the caller wants the result to be stored nowhere: the load is then not registered.
    no_write: bool,
    /// Whether the load is a task. Before that its caller may leave, and another caller must lead.
    is_task: bool,
}

impl<V> CompletionGuard<V> {
    pub(crate) fn new(
        inner: &Arc<Inner<V>>,
        key: Key,
        shared: Arc<SharedLoad<V>>,
        permit: LoadPermit,
        options: &Options,
    ) -> Self {
        let (inner, no_write) = (Arc::clone(inner), options.no_write);
        Self { inner, key, shared, _permit: permit, no_write, is_task: false }
    }

    /// Records that the load is a task from now on, which no other caller takes over.
    pub(crate) fn becomes_a_task(&mut self) {
        self.is_task = true;
    }

    /// Hands the completion to the waiters without storing anything.
    pub(crate) fn complete(&self, completion: Completion<V>) {
        self.inner.single_flight.finish(&self.key, &self.shared, || ());
        self.shared.complete(completion);
    }

    /// Stores the entry unless it was invalidated meanwhile, and hands it to the waiters. Returns
    /// whether it was stored.
    pub(crate) fn store_and_complete(&self, entry: &Entry<V>, source: CacheSource) -> bool {
        let inner = &self.inner;
        let mut stored = false;
        let registered = inner.single_flight.finish(&self.key, &self.shared, || {
            let tags = entry.tags.as_ref().map(|tags| tags.as_slice());
            if inner.invalidations.standing(entry.born, tags) != Standing::Invalidated {
                inner.memory.insert(self.key, entry.clone());
                stored = true;
            }
        });
        if registered != stored || (!registered && !self.no_write) {
            inner.counters.late_writes.one();
        }
        self.shared.complete(Completion::Found(entry.clone(), source));
        stored
    }
}

impl<V> Drop for CompletionGuard<V> {
    fn drop(&mut self) {
        // Without an effect on a load that is complete.
        self.complete(if !self.is_task {
            Completion::Released
        } else if std::thread::panicking() {
            Completion::Panicked
        } else {
            Completion::Abandoned
        });
    }
}
