//! The fred driver.
//!
//! Frequent commands use the methods of fred. Of these, fred flushes only the last one of a waiting
//! group, but it flushes each command that it does not know (`custom`). Scripts are flushed in
//! either case and must name their slot, so they use `custom`, as do rare commands.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use fred::{
    clients::Client,
    error::Error as FredError,
    interfaces::{ClientLike, EventInterface, KeysInterface, PubsubInterface},
    types::{ClusterHash, CustomCommand, Expiration, Key, SetOptions, Value as FredValue, scan::Scanner},
    util::redis_keyslot,
};
use futures_util::{StreamExt, future::try_join_all};
use tokio::sync::{broadcast::error::RecvError, mpsc};

use super::{
    connected::{Connected, alone},
    reply::{bytes_of, code, convert, count_of, error_kind},
};
use crate::{
    Condition, Driver, Error, Script, Value,
    driver::contract::{literal_prefix, milliseconds},
};

/// The number of undelivered messages at which a subscription ends because its reader is too slow.
pub(super) const SUBSCRIPTION_BUFFER: usize = 4096;

/// A fred client as a [`Driver`].
pub struct Fred {
    pub(super) client: Client,
    /// Ends the client on drop. A client of the user is not ended.
    pub(super) owned: Option<Connected>,
    /// The addresses for subscriptions, each of which suffices: cluster nodes forward published
    /// messages to each other. Empty for a client of the user, whose settings are copied instead.
    pub(super) subscribers: Vec<Client>,
}

impl fmt::Debug for Fred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fred").field("owned", &self.owned.is_some()).finish_non_exhaustive()
    }
}

impl Fred {
    /// Uses an existing client (of a pool: one of its clients). It must be connected and should
    /// have a reconnect policy.
    pub fn from_client(client: Client) -> Self {
        Self { client, owned: None, subscribers: Vec::new() }
    }

    async fn query(
        &self,
        name: &'static str,
        hash: ClusterHash,
        args: Vec<FredValue>,
    ) -> Result<FredValue, Error> {
        map_error(self.send(name, hash, args).await)
    }

    async fn send(
        &self,
        name: &'static str,
        hash: ClusterHash,
        args: Vec<FredValue>,
    ) -> Result<FredValue, FredError> {
        self.client.custom(CustomCommand::new_static(name, hash, false), args).await
    }

    async fn eval_by(
        &self,
        name: &'static str,
        body: &str,
        keys: &[Bytes],
        args: &[Bytes],
    ) -> Result<FredValue, FredError> {
        let mut all = vec![FredValue::from(body), FredValue::from(keys.len().to_string())];
        all.extend(keys.iter().chain(args).cloned().map(FredValue::Bytes));
        // The first key follows the script and the count. For custom commands fred finds the slot
        // in no other way.
        let hash = keys.first().map_or(ClusterHash::Random, |key| ClusterHash::Custom(redis_keyslot(key)));
        self.send(name, hash, all).await
    }
}

#[async_trait]
impl Driver for Fred {
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        bytes_of(map_error(self.client.get(name(key)).await)?)
    }

    async fn get_many(&self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, Error> {
        if keys.len() < 2 || self.client.is_clustered() {
            return try_join_all(keys.iter().map(|key| self.get(key))).await;
        }
        let keys: Vec<Key> = keys.iter().cloned().map(Key::from).collect();
        match map_error(self.client.mget(keys).await)? {
            FredValue::Array(values) => values.into_iter().map(bytes_of).collect(),
            _ => Err(Error::unexpected("MGET")),
        }
    }

    async fn set(
        &self,
        key: &[u8],
        value: &[u8],
        ttl: Option<Duration>,
        condition: Condition,
    ) -> Result<bool, Error> {
        let expiry = ttl.map(|ttl| Expiration::PX(i64::try_from(milliseconds(ttl)).unwrap_or(i64::MAX)));
        let options = match condition {
            Condition::Always => None,
            Condition::Absent => Some(SetOptions::NX),
            Condition::Present => Some(SetOptions::XX),
        };
        match map_error(self.client.set(name(key), word(value), expiry, options, false).await)? {
            FredValue::Null => Ok(false),
            FredValue::String(_) | FredValue::Bytes(_) => Ok(true),
            _ => Err(Error::unexpected("SET")),
        }
    }

    async fn delete(&self, keys: &[Bytes]) -> Result<u64, Error> {
        let counts =
            try_join_all(keys.iter().map(|key| async move {
                count_of(map_error(self.client.del(Key::from(key.clone())).await)?)
            }))
            .await?;
        Ok(counts.into_iter().sum())
    }

    async fn eval(&self, script: &Script, keys: &[Bytes], args: &[Bytes]) -> Result<Value, Error> {
        match self.eval_by("EVALSHA", script.sha1(), keys, args).await {
            Err(error) if code(&error) == Some("NOSCRIPT") => {
                tracing::debug!(script = script.name(), "sending a script that the server does not know");
                self.eval_by("EVAL", script.source(), keys, args).await
            }
            answer => answer,
        }
        .map(convert)
        .map_err(|error| error_kind(&error))
    }

    async fn publish(&self, channel: &[u8], message: &[u8]) -> Result<u64, Error> {
        // In a cluster, published by the slot of the channel: only messages through one node stay
        // in order.
        count_of(self.query("PUBLISH", ClusterHash::FirstKey, vec![word(channel), word(message)]).await?)
    }

    async fn subscribe(&self, channel: &[u8]) -> Result<mpsc::Receiver<Bytes>, Error> {
        let channel = std::str::from_utf8(channel).map_err(|_| Error::unexpected("channel"))?;
        // A separate client without reconnection: its end is the end of the subscription.
        let given = std::slice::from_ref(&self.client);
        let candidates = if self.subscribers.is_empty() { given } else { &self.subscribers };
        let mut connected = Err(Error::Refused);
        for like in candidates {
            let client = alone(like);
            let messages = client.message_rx();
            match Connected::open(&client).await {
                Ok(task) => {
                    connected = Ok((client, messages, task));
                    break;
                }
                Err(error) => connected = Err(error),
            }
        }
        let (client, mut messages, mut task) = connected?;
        map_error(client.subscribe(channel).await)?;
        let (sender, receiver) = mpsc::channel(SUBSCRIPTION_BUFFER);
        tokio::spawn(async move {
            loop {
                let message = tokio::select! {
                    message = messages.recv() => message,
                    () = task.ended() => break,
                    () = sender.closed() => break,
                };
                match message {
                    // A full buffer ends the subscription, so that its reader learns that messages
                    // were missed.
                    Ok(message) => match bytes_of(message.value) {
                        Ok(Some(bytes)) if sender.try_send(bytes.clone()).is_ok() => {}
                        _ => break,
                    },
                    Err(RecvError::Lagged(_) | RecvError::Closed) => break,
                }
            }
            drop((client, task));
        });
        Ok(receiver)
    }

    async fn ping(&self) -> Result<(), Error> {
        self.query("PING", ClusterHash::Random, Vec::new()).await.map(drop)
    }

    async fn info(&self, section: &str) -> Result<String, Error> {
        match self.query("INFO", ClusterHash::Random, vec![FredValue::from(section)]).await? {
            FredValue::String(text) => Ok(text.to_string()),
            FredValue::Bytes(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            _ => Err(Error::unexpected("INFO")),
        }
    }

    async fn purge(&self, prefix: &[u8]) -> Result<u64, Error> {
        let pattern = String::from_utf8_lossy(&literal_prefix(prefix)).into_owned();
        let mut pages = if self.client.is_clustered() {
            self.client.scan_cluster(pattern, Some(1000), None).boxed()
        } else {
            self.client.scan(pattern, Some(1000), None).boxed()
        };
        let mut deleted = 0;
        while let Some(page) = pages.next().await {
            let mut page = map_error(page)?;
            let keys = page.take_results().unwrap_or_default();
            let keys: Vec<Bytes> = keys.iter().map(|key| Bytes::copy_from_slice(key.as_bytes())).collect();
            deleted += self.delete(&keys).await?;
            page.next();
        }
        Ok(deleted)
    }
}

fn name(key: &[u8]) -> Key {
    Bytes::copy_from_slice(key).into()
}

fn map_error<T>(answer: Result<T, FredError>) -> Result<T, Error> {
    answer.map_err(|error| error_kind(&error))
}

fn word(bytes: &[u8]) -> FredValue {
    FredValue::Bytes(Bytes::copy_from_slice(bytes))
}
