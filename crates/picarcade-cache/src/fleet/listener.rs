//! What instances tell each other, and how they notice that they did not hear it.
//!
//! Every message carries its sender and a number that the sender counts up. A gap in a sender's numbers, a sender that is
//! new but has spoken before, or a lost connection means that something may have been missed: everything in memory becomes
//! *suspect*, and is checked against the second level when it is next asked for. Every instance also says how far it has
//! counted, every few seconds, so that a lost last message is noticed too; and it hears itself, so that its own
//! deafness is. Nothing old is served for longer than that.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::{
    fleet::message::{Heard, Message},
    inner::Inner,
    level2::remote::RemoteEvent,
};

/// How often an instance says how far it has counted.
const ALIVE_EVERY: Duration = Duration::from_secs(5);
/// Listens to the other instances for as long as the cache lives.
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
    let mut alive = interval_at(Instant::now() + ALIVE_EVERY, ALIVE_EVERY);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut connections = 0_u64;
    'subscribe: loop {
        let Some(inner) = cache.upgrade() else { return };
        let Some(second) = &inner.second else { return };
        let mut events = second.remote.subscribe(&second.space);
        drop(inner);
        let mut heard = Heard::default();
        loop {
            tokio::select! {
                event = events.recv() => {
                    let Some(inner) = cache.upgrade() else { return };
                    match event {
                        Some(RemoteEvent::Connected) => {
                            connections += 1;
                            if connections > 1 {
                                inner.suspect_all("reconnected");
                            }
                            heard = Heard::default();
                        }
                        Some(RemoteEvent::Message(bytes)) => inner.hear(&mut heard, &bytes),
                        Some(RemoteEvent::Lost) => {}
                        None => {
                            inner.suspect_all("subscription ended");
                            drop(inner);
                            tokio::time::sleep(Duration::from_millis(100)).await;
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
    /// Everything in memory must be checked against the second level before it is served as fresh.
    pub(crate) fn suspect_all(&self, why: &'static str) {
        tracing::debug!(cache = %self.name, why, "invalidations may have been missed");
        self.invalidations.suspect();
        if let Some(second) = &self.second {
            second.doubt_clear_mark();
        }
        // Whoever sees the count may rely on it.
        self.counters.suspicions.one();
    }

    fn hear(&self, heard: &mut Heard, bytes: &[u8]) {
        let Some((sender, sequence, message)) = Message::decode(bytes) else {
            // Another version speaks here: whatever it invalidated, we did not understand.
            return self.suspect_all("a message was not understood");
        };
        if heard.missed(sender, sequence, message) {
            self.suspect_all("a message was missed");
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
