//! What happens inside a cache, told to whoever listens.
//!
//! Hits are not told: they are counted, and nothing slows them. Everything else is rare enough. The channel is bounded: a
//! listener that does not keep up loses the oldest events and learns how many; the cache never waits for it.

use std::time::Duration;

use tokio::sync::broadcast;

use crate::{Key, Tag};

/// Events that a listener may fall behind.
const CAPACITY: usize = 256;

/// Something that happened. Words are of bounded sets, for labels.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A loader ended with a value.
    Loaded {
        /// Of this key.
        key: Key,
        /// How long it took.
        took: Duration,
    },
    /// A load ended without a value.
    LoadFailed {
        /// Of this key.
        key: Key,
        /// `failed`, `panicked`, `timed_out` or `overloaded`.
        kind: &'static str,
        /// Whether a stale value stands in, so that no load is tried for a while.
        held: bool,
    },
    /// A value was returned to those who waited, and not kept.
    NotKept {
        /// Of this key.
        key: Key,
        /// `too_large`, `not_serializable`, `invalidated` (during its load), or `overloaded` (too many writes).
        why: &'static str,
    },
    /// An entry of the second level was not usable, and will be overwritten.
    Undecodable {
        /// At this key.
        key: Key,
        /// `truncated`, `magic`, `checksum`, `schema`, `codec`, `too_long`, `stamps` or `value`.
        why: &'static str,
    },
    /// A key was removed or replaced, here or by another instance.
    RemovedKey {
        /// This one.
        key: Key,
        /// Whether another instance did it.
        elsewhere: bool,
    },
    /// All values of a tag were removed.
    RemovedTag {
        /// This one.
        tag: Tag,
        /// Whether another instance did it.
        elsewhere: bool,
    },
    /// Everything was removed.
    Cleared {
        /// Whether another instance did it.
        elsewhere: bool,
    },
    /// Invalidations may have been missed: memory is checked against the second level from here on.
    Suspected {
        /// In words.
        why: &'static str,
    },
    /// Other instances are heard.
    Connected,
    /// Other instances are not heard until the next `Connected`.
    Lost,
}

/// The listeners of one cache.
#[derive(Debug)]
pub(crate) struct Events(broadcast::Sender<Event>);

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::Sender::new(CAPACITY))
    }
}

impl Events {
    pub(crate) fn listen(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }

    pub(crate) fn tell(&self, event: Event) {
        // An error says that nobody listens.
        let _ = self.0.send(event);
    }
}
