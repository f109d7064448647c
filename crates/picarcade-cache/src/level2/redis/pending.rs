//! Writes that wait until Redis is back.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use crate::level2::remote::{KeyVersion, REPLAY_WINDOW};

/// The writes that wait, at most one per key: the last.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) writes: HashMap<String, Write>,
    bytes: usize,
}

/// A write that waits.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) value: Bytes,
    pub(super) lifetime: Duration,
    pub(super) began: Instant,
    pub(super) seen: KeyVersion,
}

impl Pending {
    const MAX_WRITES: usize = 4096;
    const MAX_BYTES: usize = 16 << 20;

    pub(super) fn push(&mut self, key: String, write: Write) {
        self.forget(&key);
        if self.writes.len() < Self::MAX_WRITES && self.bytes + write.value.len() <= Self::MAX_BYTES {
            self.bytes += write.value.len();
            self.writes.insert(key, write);
        }
    }

    pub(super) fn forget(&mut self, key: &str) {
        if let Some(write) = self.writes.remove(key) {
            self.bytes -= write.value.len();
        }
    }

    /// Takes the writes that may still be made.
    pub(super) fn take(&mut self) -> HashMap<String, Write> {
        self.bytes = 0;
        let mut writes = std::mem::take(&mut self.writes);
        writes.retain(|_, write| write.began.elapsed() < REPLAY_WINDOW.min(write.lifetime));
        writes
    }
}

#[cfg(test)]
mod tests {
    use super::{Pending, Write};
    use crate::level2::remote::{KeyVersion, REPLAY_WINDOW};
    use bytes::Bytes;
    use std::time::Duration;
    use tokio::time::{Instant, advance};

    fn write(size: usize, lifetime: Duration) -> Write {
        Write { value: Bytes::from(vec![0; size]), lifetime, began: Instant::now(), seen: KeyVersion::NONE }
    }

    #[test]
    fn waiting_writes_are_bounded_in_number_and_bytes_and_the_last_per_key_wins() {
        let mut pending = Pending::default();
        for n in 0..Pending::MAX_WRITES + 10 {
            pending.push(n.to_string(), write(1, Duration::from_secs(60)));
        }
        assert_eq!((pending.writes.len(), pending.bytes), (Pending::MAX_WRITES, Pending::MAX_WRITES));
        pending.push("7".into(), write(5, Duration::from_secs(60)));
        assert_eq!(pending.writes["7"].value.len(), 5, "the last write of a key wins");
        pending.forget("7");
        assert_eq!(pending.bytes, Pending::MAX_WRITES - 1);
        assert_eq!(pending.take().len(), Pending::MAX_WRITES - 1);
        let large = Pending::MAX_BYTES / 3;
        for key in ["a", "b", "c", "d"] {
            pending.push(key.into(), write(large, Duration::from_secs(60)));
        }
        assert_eq!((pending.writes.len(), pending.bytes), (3, large * 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_waits_no_longer_than_the_replay_window_and_its_lifetime() {
        let mut pending = Pending::default();
        pending.push("old".into(), write(1, Duration::from_secs(3600)));
        advance(REPLAY_WINDOW / 2).await;
        pending.push("new".into(), write(1, Duration::from_secs(3600)));
        pending.push("short".into(), write(1, Duration::from_secs(1)));
        advance(REPLAY_WINDOW / 2).await;
        assert_eq!(pending.take().into_keys().collect::<Vec<_>>(), ["new"]);
    }
}
