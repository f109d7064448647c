//! The redis-rs driver, which is the default.
//!
//! It uses plain multiplexed connections instead of the connection manager of the library. The
//! manager does not replace a connection after timeouts or `READONLY`, and commands wait for a
//! reconnection beyond any response timeout. Here a broken connection fails, and the supervisor of
//! the handle creates a new one. Cluster connections reconnect to single nodes by themselves.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, future::try_join_all};
use redis::{
    Client, Cmd, ErrorKind, RedisError, ServerErrorKind,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster_async::ClusterConnection,
    cluster_routing::{RoutingInfo, SingleNodeRoutingInfo},
};
use tokio::sync::mpsc;

use super::{
    any_connection::{AnyConnection, Boxed},
    reply::{bytes_of, convert, count_of, error_kind, masters},
};
use crate::{
    Condition, Driver, Error, Script, Value,
    driver::contract::{literal_prefix, milliseconds},
};

/// The number of undelivered messages at which a subscription ends because its reader is too slow.
const SUBSCRIPTION_BUFFER: usize = 4096;

/// A redis-rs connection as a [`Driver`].
#[derive(Clone)]
pub struct RedisRs {
    pub(super) link: Link,
    /// The clients for subscriptions and node-wide commands. Cluster nodes forward published
    /// messages to each other, so any node suffices.
    pub(super) nodes: Arc<[Client]>,
}

/// The connection for commands.
#[derive(Clone)]
pub(super) enum Link {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
    Any(Arc<dyn AnyConnection>),
}

impl Link {
    async fn send(&self, command: &Cmd) -> Result<redis::Value, RedisError> {
        // Connections are handles: a clone shares the socket.
        match self.clone() {
            Self::One(mut connection) => connection.send_packed_command(command).await,
            Self::Cluster(mut connection) => command.query_async(&mut connection).await,
            Self::Any(connection) => connection.boxed().req_packed_command(command).await,
        }
        .and_then(redis::Value::extract_error)
    }
}

impl fmt::Debug for RedisRs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topology = match self.link {
            Link::One(_) => "one",
            Link::Cluster(_) => "cluster",
            Link::Any(_) => "given",
        };
        f.debug_struct("RedisRs").field("topology", &topology).finish_non_exhaustive()
    }
}

impl RedisRs {
    /// Uses an existing connection to one server: a `MultiplexedConnection`, a `ConnectionManager`
    /// or another type. The handle does not repair it. `client` creates the connections for
    /// subscriptions; without it [`Driver::subscribe`] is refused.
    pub fn from_connection<C>(connection: C, client: Option<Client>) -> Self
    where
        C: ConnectionLike + Clone + Send + Sync + 'static,
    {
        Self { link: Link::Any(Arc::new(connection)), nodes: client.into_iter().collect() }
    }

    async fn query(&self, command: &Cmd) -> Result<redis::Value, Error> {
        self.link.send(command).await.map_err(|error| error_kind(&error))
    }

    async fn query_any_node(&self, command: Cmd) -> Result<redis::Value, Error> {
        match self.link.clone() {
            Link::One(_) | Link::Any(_) => self.query(&command).await,
            Link::Cluster(mut connection) => connection
                .route_command(command, RoutingInfo::SingleNode(SingleNodeRoutingInfo::RandomPrimary))
                .await
                .map_err(|error| error_kind(&error)),
        }
    }

    async fn eval_by(
        &self,
        verb: &str,
        body: &str,
        keys: &[Bytes],
        args: &[Bytes],
    ) -> Result<redis::Value, RedisError> {
        let mut command = redis::cmd(verb);
        command.arg(body).arg(keys.len());
        for part in keys.iter().chain(args) {
            command.arg(part.as_ref());
        }
        self.link.send(&command).await
    }

    /// Deletes the keys with this prefix on the server of one connection.
    async fn purge_one(connection: &mut impl ConnectionLike, pattern: &[u8]) -> Result<u64, RedisError> {
        let mut cursor = 0_u64;
        let mut deleted = 0_u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(1000);
            let (next, keys): (u64, Vec<Vec<u8>>) = scan.query_async(connection).await?;
            if !keys.is_empty() {
                // One command per key: in a cluster the keys of one answer may belong to different
                // slots.
                let mut pipeline = redis::pipe();
                for key in &keys {
                    pipeline.cmd("UNLINK").arg(key);
                }
                let counts: Vec<u64> = pipeline.query_async(connection).await?;
                deleted += counts.iter().sum::<u64>();
            }
            if next == 0 {
                return Ok(deleted);
            }
            cursor = next;
        }
    }
}

#[async_trait]
impl Driver for RedisRs {
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let mut command = redis::cmd("GET");
        command.arg(key);
        bytes_of(self.query(&command).await?)
    }

    async fn get_many(&self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, Error> {
        if keys.len() < 2 || matches!(self.link, Link::Cluster(_)) {
            // Concurrent commands share a write and a round trip, and a cluster routes each by its
            // slot.
            return try_join_all(keys.iter().map(|key| self.get(key))).await;
        }
        let mut command = redis::cmd("MGET");
        for key in keys {
            command.arg(key.as_ref());
        }
        match self.query(&command).await? {
            redis::Value::Array(values) => values.into_iter().map(bytes_of).collect(),
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
        let mut command = redis::cmd("SET");
        command.arg(key).arg(value);
        if let Some(ttl) = ttl {
            command.arg("PX").arg(milliseconds(ttl));
        }
        match condition {
            Condition::Always => {}
            Condition::Absent => drop(command.arg("NX")),
            Condition::Present => drop(command.arg("XX")),
        }
        match self.query(&command).await? {
            redis::Value::Okay => Ok(true),
            redis::Value::Nil => Ok(false),
            _ => Err(Error::unexpected("SET")),
        }
    }

    async fn delete(&self, keys: &[Bytes]) -> Result<u64, Error> {
        let counts = try_join_all(keys.iter().map(|key| async move {
            let mut command = redis::cmd("DEL");
            command.arg(key.as_ref());
            count_of(self.query(&command).await?)
        }))
        .await?;
        Ok(counts.into_iter().sum())
    }

    async fn eval(&self, script: &Script, keys: &[Bytes], args: &[Bytes]) -> Result<Value, Error> {
        match self.eval_by("EVALSHA", script.sha1(), keys, args).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
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
        let mut command = redis::cmd("PUBLISH");
        command.arg(channel).arg(message);
        count_of(self.query(&command).await?)
    }

    async fn subscribe(&self, channel: &[u8]) -> Result<mpsc::Receiver<Bytes>, Error> {
        let mut pubsub = first_reachable(&self.nodes).await?;
        pubsub.subscribe(channel).await.map_err(|error| error_kind(&error))?;
        let (sender, receiver) = mpsc::channel(SUBSCRIPTION_BUFFER);
        tokio::spawn(async move {
            let mut messages = pubsub.into_on_message();
            loop {
                let message = tokio::select! {
                    message = messages.next() => message,
                    () = sender.closed() => break,
                };
                let Some(message) = message else { break };
                // A full buffer ends the subscription, so that its reader learns that messages were
                // missed. Dropping single messages would be silent.
                if sender.try_send(Bytes::copy_from_slice(message.get_payload_bytes())).is_err() {
                    break;
                }
            }
        });
        Ok(receiver)
    }

    async fn ping(&self) -> Result<(), Error> {
        self.query_any_node(redis::cmd("PING")).await.map(drop)
    }

    async fn info(&self, section: &str) -> Result<String, Error> {
        let mut command = redis::cmd("INFO");
        command.arg(section);
        let reply: Result<String, RedisError> =
            redis::from_redis_value(self.query_any_node(command).await?).map_err(RedisError::from);
        reply.map_err(|error| error_kind(&error))
    }

    async fn purge(&self, prefix: &[u8]) -> Result<u64, Error> {
        let pattern = literal_prefix(prefix);
        let mut nodes: Vec<Boxed> = match self.link.clone() {
            Link::One(connection) => vec![Boxed(Box::new(connection))],
            Link::Any(connection) => vec![connection.boxed()],
            Link::Cluster(mut connection) => {
                let mut slots = redis::cmd("CLUSTER");
                slots.arg("SLOTS");
                let table = connection
                    .route_command(slots, RoutingInfo::SingleNode(SingleNodeRoutingInfo::Random))
                    .await
                    .map_err(|error| error_kind(&error))?;
                let mut nodes = Vec::new();
                for client in masters(table, self.nodes.first()) {
                    let connection = client.get_multiplexed_async_connection().await;
                    nodes.push(Boxed(Box::new(connection.map_err(|error| error_kind(&error))?)));
                }
                nodes
            }
        };
        let mut deleted = 0;
        for connection in &mut nodes {
            deleted += Self::purge_one(connection, &pattern).await.map_err(|error| error_kind(&error))?;
        }
        Ok(deleted)
    }
}

async fn first_reachable(clients: &[Client]) -> Result<redis::aio::PubSub, Error> {
    let mut last = Error::unexpected("no client for subscriptions was given");
    for client in clients {
        match client.get_async_pubsub().await {
            Ok(pubsub) => return Ok(pubsub),
            Err(error) => last = error_kind(&error),
        }
    }
    Err(last)
}
