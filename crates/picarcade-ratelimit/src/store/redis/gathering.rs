//! Requests that wait while another is on its way, and then go together.
//!
//! Whoever asks while nothing is under way asks for itself and at once: nothing waits for company, and there is no timer.
//! Whoever asks meanwhile waits until that answer is there; then all who wait go in one [`Batch`], by a task that none
//! of them owns, so that a caller that leaves takes nobody's answer with it. A batch that is full waits for nothing. So a
//! request waits for at most one round trip, and however far Redis is, what waits there is bounded by what a batch holds.
//!
//! What goes wrong is each caller's own to deal with, as if it had asked alone: a lost answer is lost to all of the batch, and
//! each decides by its own share; a question that the server refuses to understand is asked again by each for itself, so that
//! one subject's trouble stays its own. When the server does not answer, those who have not been sent yet are told so at
//! once: they need not wait for the same silence.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::RedisStore;
use super::answers::Answers;
use super::batch::{Batch, MOST, Member};
use crate::Error;

/// The most full batches under way at one time.
const MOST_FULL: usize = 64;
/// The most that wait; beyond it nobody is asked, as beyond the commands that a connection takes at one time.
const MOST_WAITING: usize = 4096;

/// The queue of a store.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Whether a question that is not a full batch is under way.
    short: bool,
    /// How many full batches are.
    full: usize,
}

#[derive(Debug)]
struct Waiting {
    member: Member,
    since: Instant,
    told: oneshot::Sender<Told>,
}

/// What a caller that waited hears.
#[derive(Debug)]
pub(super) enum Told {
    /// It was decided; the answer is this one's.
    Decided(Arc<Answers>, usize),
    /// Nobody knows why it was refused: ask alone.
    Alone,
    Failed(Error),
}

/// How a request goes.
#[derive(Debug)]
pub(super) enum Entry<'a> {
    /// By itself; the turn ends when it is answered.
    Now(Turn<'a>),
    /// With others.
    Later(oneshot::Receiver<Told>),
}

/// What kind of question is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    Short,
    Full,
}

/// Those who go together, in the order in which they came.
type Passengers = VecDeque<Waiting>;
type Callers = Vec<oneshot::Sender<Told>>;

impl Queue {
    /// Who goes now of those who wait, and as what. What leaves must land. Whoever has waited for longer than `patience`
    /// does not go: something lands at least that often, so nobody waits for more than twice as long.
    fn leave(&mut self, patience: Duration) -> Option<(Load, Passengers)> {
        while let Some(late) = self.waiting.pop_front_if(|first| first.since.elapsed() > patience) {
            let _ = late.told.send(Told::Failed(silence()));
        }
        let load = if self.waiting.len() >= MOST && self.full < MOST_FULL {
            self.full += 1;
            Load::Full
        } else if !self.waiting.is_empty() && !self.short {
            self.short = true;
            Load::Short
        } else {
            return None;
        };
        let count = self.waiting.len().min(MOST);
        Some((load, self.waiting.drain(..count).collect()))
    }

    fn land(&mut self, load: Load) {
        match load {
            Load::Short => self.short = false,
            Load::Full => self.full -= 1,
        }
    }
}

impl Gathering {
    /// Takes part. `member` is made only for one who has to wait.
    pub(super) fn enter<'a>(
        &self,
        store: &'a RedisStore,
        member: impl FnOnce() -> Member,
    ) -> Result<Entry<'a>, Error> {
        {
            let mut queue = self.queue.lock();
            if queue.waiting.is_empty() && !queue.short {
                queue.short = true;
                return Ok(Entry::Now(Turn { store }));
            }
        }
        let (told, hears) = oneshot::channel();
        let waiting = Waiting { member: member(), since: Instant::now(), told };
        let left = {
            let mut queue = self.queue.lock();
            if queue.waiting.len() >= MOST_WAITING {
                return Err(Error::Unavailable { reason: "too many requests wait to be decided".to_owned() });
            }
            queue.waiting.push_back(waiting);
            queue.leave(store.patience())
        };
        if let Some((load, passengers)) = left {
            Flight::start(store, load, passengers);
        }
        Ok(Entry::Later(hears))
    }

    /// One question for those who still want to know, and those who do not go with the others.
    fn board(mut passengers: Passengers) -> (Batch, Callers, Passengers) {
        let (mut batch, mut callers) = (Batch::default(), Vec::with_capacity(MOST));
        while let Some(Waiting { member, since, told }) = passengers.pop_front() {
            if told.is_closed() {
                continue;
            }
            match batch.add(member) {
                Ok(()) => callers.push(told),
                Err(member) => {
                    passengers.push_front(Waiting { member, since, told });
                    break;
                }
            }
        }
        (batch, callers, passengers)
    }

    /// Lets those who were left behind wait on, before all who came later; answers who goes now.
    fn wait_on(&self, mut behind: Passengers, patience: Duration) -> Option<(Load, Passengers)> {
        let mut queue = self.queue.lock();
        behind.append(&mut queue.waiting);
        queue.waiting = behind;
        queue.leave(patience)
    }

    /// After a silence, tells all who have not been sent that the store does not answer.
    pub(super) fn learn(&self, error: &Error) {
        if matches!(error, Error::Interrupted { .. }) {
            self.dismiss();
        }
    }

    fn dismiss(&self) {
        let waiting = std::mem::take(&mut self.queue.lock().waiting);
        turn_away(waiting);
    }
}

fn turn_away(waiting: VecDeque<Waiting>) {
    for Waiting { told, .. } in waiting {
        let _ = told.send(Told::Failed(silence()));
    }
}

fn silence() -> Error {
    Error::Unavailable { reason: "others who asked before were not answered".to_owned() }
}

/// A question that one asks for itself. Those who came meanwhile go when it ends, however it ends.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    store: &'a RedisStore,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let left = {
            let mut queue = self.store.gathering.queue.lock();
            queue.land(Load::Short);
            queue.leave(self.store.patience())
        };
        if let Some((load, passengers)) = left {
            Flight::start(self.store, load, passengers);
        }
    }
}

/// Asks for those who wait.
struct Flight {
    store: RedisStore,
    /// What it is; nothing once it has landed for good.
    load: Option<Load>,
    passengers: Passengers,
}

impl Flight {
    fn start(store: &RedisStore, load: Load, passengers: Passengers) {
        let flight = Self { store: store.clone(), load: Some(load), passengers };
        // Without a runtime it is dropped, and tells all who wait.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(flight.go());
        }
    }

    async fn go(mut self) {
        let patience = self.store.patience();
        while let Some(load) = self.load {
            let passengers = std::mem::take(&mut self.passengers);
            let (batch, callers, behind) = Gathering::board(passengers);
            if !behind.is_empty()
                && let Some((load, passengers)) = self.store.gathering.wait_on(behind, patience)
            {
                Self::start(&self.store, load, passengers);
            }
            if !callers.is_empty() {
                self.ask(batch, callers).await;
                // Who was answered may ask again at once: they go together, and not one of them first.
                tokio::task::yield_now().await;
            }
            let mut queue = self.store.gathering.queue.lock();
            queue.land(load);
            let left = queue.leave(patience);
            drop(queue);
            (self.load, self.passengers) =
                left.map_or_else(Default::default, |(load, next)| (Some(load), next));
        }
    }

    async fn ask(&self, batch: Batch, callers: Callers) {
        let tell = |told: &dyn Fn(usize) -> Told| {
            for (index, caller) in callers.into_iter().enumerate() {
                // Whoever left does not want to know; what was charged for it stays charged.
                let _ = caller.send(told(index));
            }
        };
        match self.store.decide_together(batch).await {
            Ok(answers) => {
                let answers = Arc::new(answers);
                tell(&|index| Told::Decided(Arc::clone(&answers), index));
            }
            Err(Failure::Question) => tell(&|_| Told::Alone),
            Err(Failure::Store(error)) => {
                tell(&|_| Told::Failed(error.clone()));
                self.store.gathering.learn(&error);
            }
        }
    }
}

impl Drop for Flight {
    /// Ended by the end of its runtime: nobody else asks for those who wait.
    fn drop(&mut self) {
        if let Some(load) = self.load {
            self.store.gathering.queue.lock().land(load);
            turn_away(std::mem::take(&mut self.passengers));
            self.store.gathering.dismiss();
        }
    }
}

/// Why a batch was not decided.
#[derive(Debug)]
pub(super) enum Failure {
    /// Something is wrong with what one of it asked; nobody knows with whose.
    Question,
    /// The store, and so with everybody's.
    Store(Error),
}

#[cfg(test)]
mod tests {
    use super::super::batch::tests::{member, plan};
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn queue(ages: &[u64]) -> (Queue, Vec<oneshot::Receiver<Told>>) {
        let mut queue = Queue::default();
        let hear = |age: &u64| {
            let since = Instant::now().checked_sub(Duration::from_secs(*age)).unwrap();
            let (told, hears) = oneshot::channel();
            queue.waiting.push_back(Waiting { member: member(&plan(1), 1), since, told });
            hears
        };
        let hearers = ages.iter().map(hear).collect();
        (queue, hearers)
    }

    #[test]
    fn whoever_waited_too_long_is_told_and_does_not_go() {
        let (mut queue, mut hearers) = queue(&[300, 200, 1, 1]);
        let (load, passengers) = queue.leave(PATIENCE).unwrap();
        assert_eq!((load, passengers.len()), (Load::Short, 2));
        for (index, hearer) in hearers.iter_mut().enumerate() {
            assert_eq!(matches!(hearer.try_recv(), Ok(Told::Failed(_))), index < 2, "{index}");
        }
    }

    #[test]
    fn one_short_question_and_full_ones_beside_it() {
        let (mut queue, _hearers) = queue(&[0; 2 * MOST + 1]);
        let loads: Vec<_> = std::iter::from_fn(|| queue.leave(PATIENCE)).map(|(load, _)| load).collect();
        assert_eq!(loads, [Load::Full, Load::Full, Load::Short]);
        let (more, _hearers) = self::queue(&[0; MOST - 1]);
        queue.waiting = more.waiting;
        assert!(queue.leave(PATIENCE).is_none(), "a short one is under way");
        queue.land(Load::Full);
        assert!(queue.leave(PATIENCE).is_none(), "still");
        queue.land(Load::Short);
        assert_eq!(queue.leave(PATIENCE).map(|(load, who)| (load, who.len())), Some((Load::Short, MOST - 1)));
    }
}
