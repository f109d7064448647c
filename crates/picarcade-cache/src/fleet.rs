//! What instances tell each other, and how they notice that they did not hear it.
//!
//! Every message carries its sender and a number that the sender counts up. A gap in a sender's numbers, a sender that is
//! new but has spoken before, or a lost connection means that something may have been missed: everything in memory becomes
//! *suspect*, and is checked against the second level when it is next asked for. Every instance also says how far it has
//! counted, every few seconds, so that a lost last message is noticed too; and it hears itself, so that its own
//! deafness is. Nothing old is served for longer than that.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::{Key, cache::Inner, remote::RemoteEvent, tags::Tag};

/// How often an instance says how far it has counted.
const ALIVE_EVERY: Duration = Duration::from_secs(5);
/// Senders remembered; beyond this all are forgotten and memory is checked.
const MAX_SENDERS: usize = 4096;

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message {
    Remove(Key),
    Tag(Tag),
    Clear,
    Alive,
}

const VERSION: u8 = 1;

impl Message {
    pub(crate) fn encode(self, sender: u64, sequence: u64) -> Bytes {
        let mut out = Vec::with_capacity(50);
        out.push(VERSION);
        out.extend_from_slice(&sender.to_le_bytes());
        out.extend_from_slice(&sequence.to_le_bytes());
        match self {
            Self::Remove(key) => {
                out.push(b'R');
                out.extend_from_slice(key.as_bytes());
            }
            Self::Tag(tag) => {
                out.push(b'T');
                out.extend_from_slice(&tag.id().to_le_bytes());
            }
            Self::Clear => out.push(b'C'),
            Self::Alive => out.push(b'A'),
        }
        out.into()
    }

    /// Sender, number, message. `None` is another version's, or nobody's.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(u64, u64, Self)> {
        let (&[VERSION], rest) = bytes.split_first_chunk::<1>()? else { return None };
        let (sender, rest) = rest.split_first_chunk::<8>()?;
        let (sequence, rest) = rest.split_first_chunk::<8>()?;
        let (kind, rest) = rest.split_first()?;
        let message = match kind {
            b'R' => Self::Remove(Key::from_bytes(rest.try_into().ok()?)),
            b'T' => Self::Tag(Tag::from_id(u64::from_le_bytes(rest.try_into().ok()?))),
            b'C' if rest.is_empty() => Self::Clear,
            b'A' if rest.is_empty() => Self::Alive,
            _ => return None,
        };
        Some((u64::from_le_bytes(*sender), u64::from_le_bytes(*sequence), message))
    }
}

/// How far each sender was heard.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    senders: HashMap<u64, u64>,
}

impl Heard {
    /// Takes note of a message's number. Returns whether something was missed.
    fn missed(&mut self, sender: u64, sequence: u64, message: Message) -> bool {
        if self.senders.len() >= MAX_SENDERS && !self.senders.contains_key(&sender) {
            self.senders.clear();
            self.senders.insert(sender, sequence);
            return true;
        }
        let expected = |last: u64| if message == Message::Alive { last } else { last + 1 };
        match self.senders.insert(sender, sequence) {
            Some(last) => sequence != expected(last),
            // New to us: what it said before now, we did not hear.
            None => sequence > expected(0),
        }
    }
}

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
        self.counters.suspicions.one();
        self.invalidations.suspect();
        if let Some(second) = &self.second {
            second.doubt_clear_mark();
        }
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
        match message {
            Message::Remove(key) => self.forget_key(&key),
            Message::Tag(tag) => self.forget_tag(tag),
            Message::Clear => self.forget_all(),
            Message::Alive => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Heard, Message};
    use crate::{Key, tags::Tag};
    use proptest::prelude::*;

    fn message() -> impl Strategy<Value = Message> {
        prop_oneof![
            any::<[u8; 32]>().prop_map(|key| Message::Remove(Key::from_bytes(key))),
            any::<u64>().prop_map(|id| Message::Tag(Tag::from_id(id))),
            Just(Message::Clear),
            Just(Message::Alive),
        ]
    }

    proptest! {
        #[test]
        fn messages_come_through(message in message(), sender in any::<u64>(), sequence in any::<u64>()) {
            prop_assert_eq!(Message::decode(&message.encode(sender, sequence)), Some((sender, sequence, message)));
        }

        #[test]
        fn noise_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some((sender, sequence, message)) = Message::decode(&bytes) {
                prop_assert_eq!(&message.encode(sender, sequence)[..], bytes.as_slice());
            }
        }

        /// Of a sender's messages and signs of life some are lost: that is noticed at the latest by the next one heard.
        #[test]
        fn any_loss_is_noticed(lost in proptest::collection::vec(any::<bool>(), 1..40), signs in proptest::collection::vec(any::<bool>(), 40)) {
            let mut heard = Heard::default();
            let mut sequence = 0;
            let mut owed = false;
            for (lost, sign) in lost.into_iter().zip(signs) {
                let message = if sign { Message::Alive } else { Message::Clear };
                if !sign { sequence += 1; }
                if lost {
                    // A lost sign of life is no loss.
                    owed |= !sign;
                } else {
                    prop_assert_eq!(heard.missed(7, sequence, message), owed);
                    owed = false;
                }
            }
        }
    }
}
