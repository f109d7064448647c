//! Requests that wait while another one is on its way, and are then sent together.
//!
//! If no request is on its way, a request is sent at once and by itself: there is no timer, and no
//! request waits for others. A request that arrives meanwhile waits for that answer. Then all
//! waiting requests are sent in one [`Batch`], by a task that no caller owns, so a caller that
//! leaves takes no other answer with it. A full batch is sent at once. So a request waits for at
//! most one round trip, and the number of waiting requests is bounded by the size of a batch,
//! however slow Redis is.
//!
//! # Failures
//!
//! Every caller handles a failure as if it had been alone. If an answer is lost, it is lost for the
//! whole batch, and each caller decides by its own share. If the server rejects a batch as invalid,
//! each caller repeats its request by itself, so one invalid request does not affect others. If the
//! server does not answer, requests that were not sent yet fail at once, because they would run
//! into the same timeout.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use picarcade_redis::{Error as RedisError, Value};
use tokio::sync::oneshot;

use super::answers::Answers;
use super::batch::{Batch, MAX_REQUESTS, Member};
use super::bytes::malformed_reply;
use super::client::{Client, limit_error};
use super::scripts::SCRIPTS;
use crate::Error;

/// The most full batches on their way at one time.
const MAX_FULL: usize = 64;
/// The most waiting requests. Beyond it a request fails at once, as on a connection with too many
/// commands.
const MAX_WAITING: usize = 4096;

/// The waiting requests of a store, and the sender of their batches.
#[derive(Debug)]
pub(super) struct Batcher {
    sender: Client,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Whether a request or a batch that is not full is on its way.
    short: bool,
    /// The number of full batches on their way.
    full: usize,
}

#[derive(Debug)]
struct Waiting {
    member: Member,
    since: Instant,
    reply: oneshot::Sender<Reply>,
}

/// The reply to a request that waited.
#[derive(Debug)]
pub(super) enum Reply {
    /// The answers of the batch, and the index of the request.
    Decided(Arc<Answers>, usize),
    /// The batch was rejected: the caller must send its request by itself.
    SendAlone,
    Failed(Error),
}

/// How a request is sent.
#[derive(Debug)]
pub(super) enum Entry<'a> {
    /// By itself. The turn ends when it is answered.
    Alone(Turn<'a>),
    /// In a batch.
    Batched(oneshot::Receiver<Reply>),
}

/// What is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    /// One request, or a batch that is not full. There is one at a time.
    Short,
    /// A full batch.
    Full,
}

/// Requests that are sent together, in the order of their arrival.
type Group = VecDeque<Waiting>;
type Callers = Vec<oneshot::Sender<Reply>>;

impl Queue {
    /// Removes the next group of requests to send. The caller must report its end with
    /// [`Queue::finished`].
    ///
    /// A request that waited for longer than `timeout` fails instead. A group ends at least that
    /// often, so no request waits for more than twice as long.
    fn next_group(&mut self, timeout: Duration) -> Option<(Size, Group)> {
        while self.waiting.front().is_some_and(|first| first.since.elapsed() > timeout)
            && let Some(late) = self.waiting.pop_front()
        {
            let _ = late.reply.send(Reply::Failed(unanswered()));
        }
        let size = if self.waiting.len() >= MAX_REQUESTS && self.full < MAX_FULL {
            self.full += 1;
            Size::Full
        } else if !self.waiting.is_empty() && !self.short {
            self.short = true;
            Size::Short
        } else {
            return None;
        };
        let count = self.waiting.len().min(MAX_REQUESTS);
        Some((size, self.waiting.drain(..count).collect()))
    }

    /// Records that a request or a batch is no longer on its way.
    fn finished(&mut self, size: Size) {
        match size {
            Size::Short => self.short = false,
            Size::Full => self.full -= 1,
        }
    }
}

impl Batcher {
    pub(super) fn new(sender: Client) -> Arc<Self> {
        Arc::new(Self { sender, queue: Mutex::default() })
    }

    /// Adds a request. `member` is called only if the request has to wait.
    pub(super) fn enter(self: &Arc<Self>, member: impl FnOnce() -> Member) -> Result<Entry<'_>, Error> {
        {
            let mut queue = self.queue.lock();
            if queue.waiting.is_empty() && !queue.short {
                queue.short = true;
                return Ok(Entry::Alone(Turn { batcher: self }));
            }
        }
        let (reply, receiver) = oneshot::channel();
        let waiting = Waiting { member: member(), since: Instant::now(), reply };
        let next = {
            let mut queue = self.queue.lock();
            if queue.waiting.len() >= MAX_WAITING {
                return Err(Error::Unavailable { reason: "too many requests wait to be decided".to_owned() });
            }
            queue.waiting.push_back(waiting);
            queue.next_group(self.sender.timeout())
        };
        self.send(next);
        Ok(Entry::Batched(receiver))
    }

    /// Sends a group in a new task.
    fn send(self: &Arc<Self>, next: Option<(Size, Group)>) {
        let Some((size, group)) = next else { return };
        let sending = Sending { batcher: Arc::clone(self), size: Some(size), group };
        // Without a runtime it is dropped, and its drop fails all waiting requests.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(sending.run());
        }
    }

    /// Puts requests that did not fit into a batch back at the head of the queue, and returns the
    /// next group.
    fn put_back(&self, mut rest: Group) -> Option<(Size, Group)> {
        let mut queue = self.queue.lock();
        rest.append(&mut queue.waiting);
        queue.waiting = rest;
        queue.next_group(self.sender.timeout())
    }

    /// If the server did not answer, fails all requests that were not sent yet.
    fn observe(&self, error: &Error) {
        if matches!(error, Error::Interrupted { .. }) {
            self.fail_waiting();
        }
    }

    fn fail_waiting(&self) {
        let waiting = std::mem::take(&mut self.queue.lock().waiting);
        fail(waiting);
    }
}

fn fail(waiting: Group) {
    for Waiting { reply, .. } in waiting {
        let _ = reply.send(Reply::Failed(unanswered()));
    }
}

/// The error of a request that was not sent, because earlier ones were not answered.
fn unanswered() -> Error {
    Error::Unavailable { reason: "earlier requests were not answered".to_owned() }
}

/// A request that is sent by itself. When it ends, for whatever reason, the next group is sent.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    batcher: &'a Arc<Batcher>,
}

impl Turn<'_> {
    /// Reports that the request failed.
    pub(super) fn fail(&self, error: &Error) {
        self.batcher.observe(error);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let next = {
            let mut queue = self.batcher.queue.lock();
            queue.finished(Size::Short);
            queue.next_group(self.batcher.sender.timeout())
        };
        self.batcher.send(next);
    }
}

/// The task that sends groups until no request waits.
struct Sending {
    batcher: Arc<Batcher>,
    /// What is on its way; `None` after the last group.
    size: Option<Size>,
    group: Group,
}

impl Sending {
    async fn run(mut self) {
        while let Some(size) = self.size {
            let (batch, callers, rest) = batch_of(std::mem::take(&mut self.group));
            if !rest.is_empty() {
                self.batcher.send(self.batcher.put_back(rest));
            }
            if !callers.is_empty() {
                self.decide(batch, callers).await;
                // Callers that were answered may send their next requests at once. With a yield
                // they form one group instead of the first one being sent alone.
                tokio::task::yield_now().await;
            }
            let mut queue = self.batcher.queue.lock();
            queue.finished(size);
            let next = queue.next_group(self.batcher.sender.timeout());
            drop(queue);
            (self.size, self.group) = next.map_or_else(Default::default, |(size, group)| (Some(size), group));
        }
    }

    async fn decide(&self, batch: Batch, callers: Callers) {
        let reply_to_all = |reply: &dyn Fn(usize) -> Reply| {
            for (index, caller) in callers.into_iter().enumerate() {
                // A caller that left stays charged.
                let _ = caller.send(reply(index));
            }
        };
        match self.batcher.sender.decide_batch(batch).await {
            Ok(answers) => {
                let answers = Arc::new(answers);
                reply_to_all(&|index| Reply::Decided(Arc::clone(&answers), index));
            }
            Err(Failure::Rejected) => reply_to_all(&|_| Reply::SendAlone),
            Err(Failure::Store(error)) => {
                reply_to_all(&|_| Reply::Failed(error.clone()));
                self.batcher.observe(&error);
            }
        }
    }
}

impl Drop for Sending {
    /// If the runtime of the task ends, no other task sends the waiting requests.
    fn drop(&mut self) {
        if let Some(size) = self.size {
            self.batcher.queue.lock().finished(size);
            fail(std::mem::take(&mut self.group));
            self.batcher.fail_waiting();
        }
    }
}

/// Forms a batch of the callers that still wait. Returns the requests that do not fit into it.
fn batch_of(mut group: Group) -> (Batch, Callers, Group) {
    let (mut batch, mut callers) = (Batch::default(), Vec::with_capacity(MAX_REQUESTS));
    while let Some(Waiting { member, since, reply }) = group.pop_front() {
        if reply.is_closed() {
            continue;
        }
        match batch.add(member) {
            Ok(()) => callers.push(reply),
            Err(member) => {
                group.push_front(Waiting { member, since, reply });
                break;
            }
        }
    }
    (batch, callers, group)
}

/// Why a batch was not decided.
#[derive(Debug)]
enum Failure {
    /// The server rejected the batch because of one of its requests, which cannot be identified.
    Rejected,
    /// The store failed, for every request of the batch.
    Store(Error),
}

impl Client {
    async fn decide_batch(&self, mut batch: Batch) -> Result<Answers, Failure> {
        let args = batch.arguments(self.time());
        let keys = batch.keys(self.keys.deadlines());
        let bytes = match self.redis.eval(&SCRIPTS.batch, &keys, &args).await {
            Ok(Value::Bytes(bytes)) => bytes,
            Ok(_) => return Err(Failure::Store(malformed_reply())),
            Err(RedisError::Protocol { .. } | RedisError::TooLarge { .. }) => return Err(Failure::Rejected),
            Err(error) => return Err(Failure::Store(limit_error(&error))),
        };
        batch.answers(bytes).map_err(Failure::Store)
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::tests::{member, plan};
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    fn queue(ages: &[u64]) -> (Queue, Vec<oneshot::Receiver<Reply>>) {
        let mut queue = Queue::default();
        let wait = |age: &u64| {
            let since = Instant::now().checked_sub(Duration::from_secs(*age)).unwrap();
            let (reply, receiver) = oneshot::channel();
            queue.waiting.push_back(Waiting { member: member(&plan(1), 1), since, reply });
            receiver
        };
        let receivers = ages.iter().map(wait).collect();
        (queue, receivers)
    }

    #[test]
    fn a_request_that_waited_too_long_fails_and_is_not_sent() {
        let (mut queue, mut receivers) = queue(&[300, 200, 1, 1]);
        let (size, group) = queue.next_group(TIMEOUT).unwrap();
        assert_eq!((size, group.len()), (Size::Short, 2));
        for (index, receiver) in receivers.iter_mut().enumerate() {
            assert_eq!(matches!(receiver.try_recv(), Ok(Reply::Failed(_))), index < 2, "{index}");
        }
    }

    #[test]
    fn full_batches_are_sent_at_once_and_one_short_batch_at_a_time() {
        let (mut queue, _receivers) = queue(&[0; 2 * MAX_REQUESTS + 1]);
        let sizes: Vec<_> = std::iter::from_fn(|| queue.next_group(TIMEOUT)).map(|(size, _)| size).collect();
        assert_eq!(sizes, [Size::Full, Size::Full, Size::Short]);
        let (more, _receivers) = self::queue(&[0; MAX_REQUESTS - 1]);
        queue.waiting = more.waiting;
        assert!(queue.next_group(TIMEOUT).is_none(), "a short batch is on its way");
        queue.finished(Size::Full);
        assert!(queue.next_group(TIMEOUT).is_none(), "it still is");
        queue.finished(Size::Short);
        let next = queue.next_group(TIMEOUT).map(|(size, group)| (size, group.len()));
        assert_eq!(next, Some((Size::Short, MAX_REQUESTS - 1)));
    }
}
