//! The messages between instances, and the numbers that reveal a lost one.

use std::collections::HashMap;

use bytes::Bytes;

use crate::{Key, tag::Tag};

/// The maximum number of senders. Beyond it all are forgotten, and memory is verified.
const MAX_SENDERS: usize = 4096;

/// A message to the other instances.
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

    /// Returns the sender, its number and the message, or `None` for bytes of another format.
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

/// The last number of each sender.
#[derive(Debug, Default)]
pub(crate) struct Sequences {
    senders: HashMap<u64, u64>,
}

impl Sequences {
    /// Records the number of a message. Returns whether an earlier message was missed.
    pub(crate) fn is_gap(&mut self, sender: u64, sequence: u64, message: Message) -> bool {
        if self.senders.len() >= MAX_SENDERS && !self.senders.contains_key(&sender) {
            self.senders.clear();
            self.senders.insert(sender, sequence);
            return true;
        }
        let expected = |last: u64| if message == Message::Alive { last } else { last + 1 };
        match self.senders.insert(sender, sequence) {
            Some(last) => sequence != expected(last),
            // The earlier messages of a new sender were not received.
            None => sequence > expected(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Message, Sequences};
    use crate::{Key, tag::Tag};
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
        fn an_encoded_message_decodes_to_itself(message in message(), sender in any::<u64>(), sequence in any::<u64>()) {
            prop_assert_eq!(Message::decode(&message.encode(sender, sequence)), Some((sender, sequence, message)));
        }

        #[test]
        fn decoded_bytes_encode_to_themselves(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some((sender, sequence, message)) = Message::decode(&bytes) {
                prop_assert_eq!(&message.encode(sender, sequence)[..], bytes.as_slice());
            }
        }

        /// If messages are lost, the next received message of the sender reveals it.
        #[test]
        fn the_next_message_reveals_any_loss(lost in proptest::collection::vec(any::<bool>(), 1..40), signs in proptest::collection::vec(any::<bool>(), 40)) {
            let mut sequences = Sequences::default();
            let mut sequence = 0;
            let mut is_owed = false;
            for (lost, sign) in lost.into_iter().zip(signs) {
                let message = if sign { Message::Alive } else { Message::Clear };
                if !sign { sequence += 1; }
                if lost {
                    // A lost `Alive` message is no loss.
                    is_owed |= !sign;
                } else {
                    prop_assert_eq!(sequences.is_gap(7, sequence, message), is_owed);
                    is_owed = false;
                }
            }
        }
    }
}
