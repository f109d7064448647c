//! Receives the messages of the other instances and detects lost ones.
//!
//! Every message carries its sender and a number that the sender increments. Three things mean that
//! a message may be lost: a gap in the numbers of a sender, a new sender that does not start at its
//! first number, and a lost connection. All entries in memory are then *suspect*, and each is
//! verified with the second level at its next lookup.
//!
//! Every few seconds, each instance also publishes the number of its last message. This reveals a
//! lost last message. An instance receives its own messages too, so it detects its own lost
//! connection. No value is served for longer than that after its invalidation.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use crate::{
    fleet::message::{Message, Sequences},
    inner::Inner,
    level2::remote::RemoteEvent,
};

/// How often an instance publishes the number of its last message.
const ALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// The pause before a subscription that ended is replaced.
const RESUBSCRIBE_PAUSE: Duration = Duration::from_millis(100);

/// Listens to the other instances while the cache exists.
pub(crate) fn start<V>(inner: &Arc<Inner<V>>)
where
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    tokio::spawn(listen(Arc::downgrade(inner)));
}

async fn listen<V>(cache: Weak<Inner<V>>)
where
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let mut alive = interval_at(Instant::now() + ALIVE_INTERVAL, ALIVE_INTERVAL);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut was_connected = false;
    'subscribe: loop {
        let Some(inner) = cache.upgrade() else { return };
        let Some(second) = &inner.second else { return };
        let mut events = second.remote.subscribe(&second.space);
        drop(inner);
        let mut sequences = Sequences::default();
        loop {
            tokio::select! {
                event = events.recv() => {
                    let Some(inner) = cache.upgrade() else { return };
                    match event {
                        Some(RemoteEvent::Connected) => {
                            if was_connected {
                                inner.suspect_all("reconnected");
                            }
                            was_connected = true;
                            sequences = Sequences::default();
                        }
                        Some(RemoteEvent::Message(bytes)) => inner.receive(&mut sequences, &bytes),
                        Some(RemoteEvent::Lost) => {}
                        None => {
                            inner.suspect_all("subscription ended");
                            drop(inner);
                            sleep(RESUBSCRIBE_PAUSE).await;
                            continue 'subscribe;
                        }
                    }
                }
                _ = alive.tick() => {
                    let Some(inner) = cache.upgrade() else { return };
                    if let Some(second) = &inner.second
                        && second.publish(Message::Alive).await.is_err()
                    {
                        inner.counters.remote_errors.one();
                    }
                }
            }
        }
    }
}

impl<V: Serialize + DeserializeOwned + Send + Sync + 'static> Inner<V> {
    /// Makes every entry in memory suspect: it is verified with the second level before it is
    /// served as fresh.
    pub(crate) fn suspect_all(&self, reason: &'static str) {
        tracing::debug!(cache = %self.name, reason, "invalidations may have been missed");
        self.invalidations.suspect();
        if let Some(second) = &self.second {
            second.forget_clear_version();
        }
        // Counted last: a reader of the count may rely on the effect.
        self.counters.suspicions.one();
    }

    fn receive(&self, sequences: &mut Sequences, bytes: &[u8]) {
        let Some((sender, sequence, message)) = Message::decode(bytes) else {
            // A message of another version of the format may have been an invalidation.
            return self.suspect_all("fleet message could not be decoded");
        };
        if sequences.is_gap(sender, sequence, message) {
            self.suspect_all("fleet message was missed");
        }
        if self.second.as_ref().is_some_and(|second| second.sender == sender) {
            return;
        }
        if message != Message::Alive {
            self.counters.invalidations.one();
        }
        self.forget(message);
    }
}
