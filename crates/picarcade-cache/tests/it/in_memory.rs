//! A second level in this process, on the clock of tokio.
//!
//! It has no bound: an expired entry is removed when its key is read again. The fuzz target
//! includes this file.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{sync::mpsc, time::Instant};

use picarcade_cache::{Key, KeyVersion, Record, Remote, RemoteError, RemoteEvent, Scope, TagVersion};

/// A [`Remote`] in the memory of this process.
#[derive(Debug, Default)]
pub struct InMemoryRemote {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    records: HashMap<(String, Key), (Record, Instant)>,
    tag_versions: HashMap<(String, Scope), (TagVersion, Instant)>,
    leases: HashMap<(String, Key), (u64, Instant)>,
    listeners: HashMap<String, Vec<mpsc::Sender<RemoteEvent>>>,
    down: bool,
}

impl InMemoryRemote {
    /// Creates an empty second level.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes every call fail as unavailable, or work again. Subscribers receive `Lost` or
    /// `Connected`.
    pub fn set_down(&self, down: bool) {
        let mut state = self.state.lock();
        state.down = down;
        let event = if down { RemoteEvent::Lost } else { RemoteEvent::Connected };
        for listeners in state.listeners.values_mut() {
            listeners.retain(|listener| listener.try_send(event.clone()).is_ok());
        }
    }

    /// Stores raw bytes at a key, like another program or a damaged disk could.
    pub fn put_raw(&self, space: &str, key: &Key, entry: Bytes, lifetime: Duration) {
        let record = Record { version: KeyVersion::NONE, entry: Some(entry) };
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
        seen: KeyVersion,
    ) -> Result<bool, RemoteError> {
        let mut state = self.up()?;
        let current = state.record(space, key);
        let empty = current.version == KeyVersion::NONE && current.entry.is_none();
        if !empty && current.version != seen {
            return Ok(false);
        }
        let record = Record { version: seen, entry: Some(entry) };
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
        let record = Record { version: KeyVersion::random(), entry: Some(entry) };
        self.up()?.records.insert((space.to_owned(), *key), (record, Instant::now() + lifetime));
        Ok(())
    }

    async fn remove(&self, space: &str, key: &Key, tombstone: Duration) -> Result<(), RemoteError> {
        let record = Record { version: KeyVersion::random(), entry: None };
        // Also while down, because a removal takes effect before the next read.
        let mut state = self.state.lock();
        state.records.insert((space.to_owned(), *key), (record, Instant::now() + tombstone));
        if state.down { Err(RemoteError::Unavailable { kind: "refused" }) } else { Ok(()) }
    }

    async fn tag_versions(&self, space: &str, scopes: &[Scope]) -> Result<Vec<TagVersion>, RemoteError> {
        let state = self.up()?;
        let now = Instant::now();
        let version = |scope: &Scope| match state.tag_versions.get(&(space.to_owned(), *scope)) {
            Some((version, until)) if now < *until => *version,
            _ => TagVersion::NONE,
        };
        Ok(scopes.iter().map(version).collect())
    }

    async fn invalidate(&self, space: &str, scope: Scope, lifetime: Duration) -> Result<(), RemoteError> {
        let mut state = self.state.lock();
        state
            .tag_versions
            .insert((space.to_owned(), scope), (TagVersion::random(), Instant::now() + lifetime));
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
            // A subscriber that is too slow is removed. It sees the end of its events and verifies
            // its entries.
            listeners.retain(|listener| listener.try_send(RemoteEvent::Message(message.clone())).is_ok());
        }
        Ok(())
    }

    fn subscribe(&self, space: &str) -> mpsc::Receiver<RemoteEvent> {
        let (sender, receiver) = mpsc::channel(1024);
        let mut state = self.state.lock();
        if !state.down {
            // The new channel is empty, so this cannot fail.
            let _ = sender.try_send(RemoteEvent::Connected);
        }
        state.listeners.entry(space.to_owned()).or_default().push(sender);
        receiver
    }
}
