//! A second level in this process: for tests, and for several caches of one process that are to agree.
//!
//! It keeps the same promises as the others, on tokio's clock. It has no bound of its own: entries go when their time is
//! over and they are met again.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{sync::mpsc, time::Instant};

use crate::{
    Key, RemoteError,
    level2::remote::{Generation, Mark, Record, Remote, RemoteEvent},
};

/// See the module's words above: a [`Remote`] made of maps.
#[derive(Debug, Default)]
pub struct InMemoryRemote {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    records: HashMap<(String, Key), (Record, Instant)>,
    marks: HashMap<(String, Mark), (u64, Instant)>,
    leases: HashMap<(String, Key), (u64, Instant)>,
    listeners: HashMap<String, Vec<mpsc::Sender<RemoteEvent>>>,
    down: bool,
}

impl InMemoryRemote {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes every call fail as unavailable, or work again; listeners hear `Lost` and `Connected`.
    pub fn set_down(&self, down: bool) {
        let mut state = self.state.lock();
        state.down = down;
        let event = if down { RemoteEvent::Lost } else { RemoteEvent::Connected };
        for listeners in state.listeners.values_mut() {
            listeners.retain(|listener| listener.try_send(event.clone()).is_ok());
        }
    }

    /// Puts raw bytes at a key, as another program (or a damaged disk) might.
    pub fn put_raw(&self, space: &str, key: &Key, entry: Bytes, lifetime: Duration) {
        let record = Record { generation: Generation::NONE, entry: Some(entry) };
        self.state.lock().records.insert((space.to_owned(), *key), (record, Instant::now() + lifetime));
    }

    fn up(&self) -> Result<parking_lot::MutexGuard<'_, State>, RemoteError> {
        let state = self.state.lock();
        if state.down { Err(RemoteError::Unavailable { kind: "refused" }) } else { Ok(state) }
    }
}

impl State {
    fn record(&mut self, space: &str, key: &Key) -> Record {
        let at = (space.to_owned(), *key);
        match self.records.get(&at) {
            Some((record, until)) if Instant::now() < *until => record.clone(),
            Some(_) => {
                self.records.remove(&at);
                Record::default()
            }
            None => Record::default(),
        }
    }

    fn holds(&self, at: &(String, Key), token: u64) -> bool {
        self.leases.get(at).is_some_and(|(holder, until)| *holder == token && Instant::now() < *until)
    }
}

#[async_trait]
impl Remote for InMemoryRemote {
    async fn read(&self, space: &str, key: &Key) -> Result<Record, RemoteError> {
        Ok(self.up()?.record(space, key))
    }

    async fn write(
        &self,
        space: &str,
        key: &Key,
        entry: Bytes,
        lifetime: Duration,
        seen: Generation,
    ) -> Result<bool, RemoteError> {
        let mut state = self.up()?;
        let current = state.record(space, key);
        let empty = current.generation == Generation::NONE && current.entry.is_none();
        if !empty && current.generation != seen {
            return Ok(false);
        }
        let record = Record { generation: seen, entry: Some(entry) };
        state.records.insert((space.to_owned(), *key), (record, Instant::now() + lifetime));
        Ok(true)
    }

    async fn replace(
        &self,
        space: &str,
        key: &Key,
        entry: Bytes,
        lifetime: Duration,
    ) -> Result<(), RemoteError> {
        let record = Record { generation: Generation::fresh(), entry: Some(entry) };
        self.up()?.records.insert((space.to_owned(), *key), (record, Instant::now() + lifetime));
        Ok(())
    }

    async fn remove(&self, space: &str, key: &Key, tombstone: Duration) -> Result<(), RemoteError> {
        let record = Record { generation: Generation::fresh(), entry: None };
        // Also while down: the promise is to do it before the next read.
        let mut state = self.state.lock();
        state.records.insert((space.to_owned(), *key), (record, Instant::now() + tombstone));
        if state.down { Err(RemoteError::Unavailable { kind: "refused" }) } else { Ok(()) }
    }

    async fn marks(&self, space: &str, marks: &[Mark]) -> Result<Vec<u64>, RemoteError> {
        let state = self.up()?;
        let now = Instant::now();
        let mark = |mark: &Mark| match state.marks.get(&(space.to_owned(), *mark)) {
            Some((value, until)) if now < *until => *value,
            _ => 0,
        };
        Ok(marks.iter().map(mark).collect())
    }

    async fn raise(&self, space: &str, mark: Mark, lifetime: Duration) -> Result<(), RemoteError> {
        let mut state = self.state.lock();
        state.marks.insert((space.to_owned(), mark), (Generation::fresh().0, Instant::now() + lifetime));
        if state.down { Err(RemoteError::Unavailable { kind: "refused" }) } else { Ok(()) }
    }

    async fn acquire(&self, space: &str, key: &Key, token: u64, ttl: Duration) -> Result<bool, RemoteError> {
        let mut state = self.up()?;
        let at = (space.to_owned(), *key);
        let now = Instant::now();
        if state.leases.get(&at).is_some_and(|(holder, until)| now < *until && *holder != token) {
            return Ok(false);
        }
        state.leases.insert(at, (token, now + ttl));
        Ok(true)
    }

    async fn renew(&self, space: &str, key: &Key, token: u64, ttl: Duration) -> Result<bool, RemoteError> {
        let mut state = self.up()?;
        let at = (space.to_owned(), *key);
        let held = state.holds(&at, token);
        if held {
            state.leases.insert(at, (token, Instant::now() + ttl));
        }
        Ok(held)
    }

    async fn release(&self, space: &str, key: &Key, token: u64) -> Result<(), RemoteError> {
        let mut state = self.up()?;
        let at = (space.to_owned(), *key);
        if state.holds(&at, token) {
            state.leases.remove(&at);
        }
        Ok(())
    }

    async fn publish(&self, space: &str, message: Bytes) -> Result<(), RemoteError> {
        let mut state = self.up()?;
        if let Some(listeners) = state.listeners.get_mut(space) {
            // A listener that does not keep up is let go: it hears the end of its events, and doubts what it keeps.
            listeners.retain(|listener| listener.try_send(RemoteEvent::Message(message.clone())).is_ok());
        }
        Ok(())
    }

    fn subscribe(&self, space: &str) -> mpsc::Receiver<RemoteEvent> {
        let (sender, receiver) = mpsc::channel(1024);
        let mut state = self.state.lock();
        if !state.down {
            // The channel is empty: there is room.
            let _ = sender.try_send(RemoteEvent::Connected);
        }
        state.listeners.entry(space.to_owned()).or_default().push(sender);
        receiver
    }
}
