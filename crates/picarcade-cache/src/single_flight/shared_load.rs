//! One load that callers share, and the way it ends.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{CacheSource, LoadError, entry::Entry};

/// The error of a loader, whose type only the caller of the loader knows.
pub(crate) type Failure = Arc<dyn Any + Send + Sync>;

/// How a shared load ended.
pub(crate) enum Completion<V> {
    /// A value.
    Found(Entry<V>, CacheSource),
    /// The loader failed.
    Failed(Failure),
    /// The loader panicked, or a function of the owner of the cache did.
    Panicked,
    /// The runtime dropped the task of the load.
    Abandoned,
    /// The load took longer than its limit.
    TimedOut,
    /// Too many loads or waiters.
    Overloaded,
    /// The second level has no value, and the leader has no loader.
    Absent,
    /// The leader left before its load began. Another caller must lead.
    Released,
}

impl<V> Clone for Completion<V> {
    fn clone(&self) -> Self {
        match self {
            Self::Found(entry, source) => Self::Found(entry.clone(), *source),
            Self::Failed(error) => Self::Failed(Arc::clone(error)),
            Self::Panicked => Self::Panicked,
            Self::Abandoned => Self::Abandoned,
            Self::TimedOut => Self::TimedOut,
            Self::Overloaded => Self::Overloaded,
            Self::Absent => Self::Absent,
            Self::Released => Self::Released,
        }
    }
}

impl<V> Completion<V> {
    /// Returns the error for a caller whose loader fails with `E`, given that there is no value.
    pub(crate) fn into_error<E: Send + Sync + 'static>(self) -> LoadError<E> {
        match self {
            Self::Failed(error) => Arc::downcast(error).map_or(LoadError::Abandoned, LoadError::Failed),
            Self::Panicked => LoadError::Panicked,
            Self::TimedOut => LoadError::TimedOut,
            Self::Overloaded => LoadError::Overloaded,
            Self::Found(..) | Self::Abandoned | Self::Absent | Self::Released => LoadError::Abandoned,
        }
    }
}

/// One load under way.
pub(crate) struct SharedLoad<V> {
    // One lock and one list of waiters, because most loads are short reads without other waiters.
    completion: Mutex<Option<Completion<V>>>,
    completed: Notify,
    waiters: AtomicUsize,
}

impl<V> SharedLoad<V> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            completion: Mutex::new(None),
            completed: Notify::new(),
            waiters: AtomicUsize::new(0),
        })
    }

    /// Hands the completion to all waiters. Only the first call has an effect.
    pub(crate) fn complete(&self, completion: Completion<V>) {
        let mut slot = self.completion.lock();
        if slot.is_none() {
            *slot = Some(completion);
            drop(slot);
            self.completed.notify_waiters();
        }
    }

    /// Waits for the completion. A caller may stop waiting at any time without an effect on the
    /// load.
    pub(crate) async fn wait(&self) -> Completion<V> {
        loop {
            let mut completed = std::pin::pin!(self.completed.notified());
            // Enabled before the check, so that no completion between the two is missed.
            completed.as_mut().enable();
            if let Some(completion) = self.completion.lock().clone() {
                return completion;
            }
            completed.await;
        }
    }

    /// Counts one more waiter, unless there are `limit` already.
    pub(crate) fn waiter(self: Arc<Self>, limit: usize) -> Option<Waiter<V>> {
        if self.waiters.fetch_add(1, Ordering::Relaxed) < limit {
            return Some(Waiter(self));
        }
        self.waiters.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

/// A counted waiter of a shared load.
pub(crate) struct Waiter<V>(Arc<SharedLoad<V>>);

impl<V> Waiter<V> {
    pub(crate) async fn wait(&self) -> Completion<V> {
        self.0.wait().await
    }
}

impl<V> Drop for Waiter<V> {
    fn drop(&mut self) {
        self.0.waiters.fetch_sub(1, Ordering::Relaxed);
    }
}
