//! The second level of one cache: the remote, what is known of its marks, and how much is under way to it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    Remote, RemoteError,
    fleet::message::Message,
    level2::remote::{Generation, Mark},
    tag::Tag,
};

/// Writes to the second level under way at one time; more are not made.
const MAX_WRITES: usize = 1024;
const UNKNOWN: u64 = u64::MAX;

/// The second level of one cache.
#[derive(Debug)]
pub(crate) struct SecondLevel {
    pub(crate) remote: Arc<dyn Remote>,
    pub(crate) space: Arc<str>,
    clear_mark: AtomicU64,
    /// Who we are to the other instances.
    pub(crate) sender: u64,
    /// The number of the last message sent. A lock, because numbers must be sent in their order.
    sequence: tokio::sync::Mutex<u64>,
    writes: Semaphore,
}

/// What was seen before a load began, and must still be so for its result to be kept.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) generation: Generation,
    /// `None`: the second level could not be asked, so nothing may be written to it.
    pub(crate) clear_mark: Option<u64>,
    pub(crate) tags: Vec<(Tag, u64)>,
}

impl Seen {
    /// Nothing: the second level did not answer.
    pub(crate) fn nothing() -> Self {
        Self { generation: Generation::NONE, clear_mark: None, tags: Vec::new() }
    }

    /// Whether the second level answered.
    pub(crate) fn is_known(&self) -> bool {
        self.clear_mark.is_some()
    }
}

impl SecondLevel {
    pub(crate) fn new(remote: Arc<dyn Remote>, space: Arc<str>) -> Self {
        Self {
            remote,
            space,
            clear_mark: AtomicU64::new(UNKNOWN),
            sender: fastrand::u64(..),
            sequence: tokio::sync::Mutex::new(0),
            writes: Semaphore::new(MAX_WRITES),
        }
    }

    pub(crate) fn known_clear_mark(&self) -> Option<u64> {
        Some(self.clear_mark.load(Ordering::Acquire)).filter(|mark| *mark != UNKNOWN)
    }

    /// Forgets the clear mark, so that it is asked for before the next use.
    pub(crate) fn doubt_clear_mark(&self) {
        self.clear_mark.store(UNKNOWN, Ordering::Release);
    }

    /// Asks for the clear mark, and keeps it.
    pub(crate) async fn ask_clear_mark(&self) -> Result<u64, RemoteError> {
        let marks = self.remote.marks(&self.space, &[Mark::Clear]).await?;
        let mark = marks.first().copied().unwrap_or(0);
        self.learn_clear_mark(mark);
        Ok(mark)
    }

    pub(crate) fn learn_clear_mark(&self, mark: u64) {
        self.clear_mark.store(mark, Ordering::Release);
    }

    /// A place among the writes under way, unless there are too many.
    pub(crate) fn writing(&self) -> Option<SemaphorePermit<'_>> {
        self.writes.try_acquire().ok()
    }

    /// Sends a message with the next number. A number is used up even if the message does not arrive: that is how the
    /// others notice.
    pub(crate) async fn publish(&self, message: Message) -> Result<(), RemoteError> {
        let mut sequence = self.sequence.lock().await;
        if message != Message::Alive {
            *sequence += 1;
        }
        let bytes = message.encode(self.sender, *sequence);
        self.remote.publish(&self.space, bytes).await
    }
}
