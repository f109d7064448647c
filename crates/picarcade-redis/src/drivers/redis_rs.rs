//! redis-rs behind the trait: the default.
//!
//! Plain multiplexed connections are used, not the library's connection manager: the manager does not replace a
//! connection after timeouts or `READONLY`, and lets commands wait for a reconnection beyond any response timeout.
//! Here a broken connection simply fails, and the handle's supervisor makes a new one. `TCP_NODELAY` is set,
//! which is not the library's default. The library's own response timeout is off, because the handle sets one deadline.
//!
//! Sentinel masters are resolved at every connect. Cluster connections reconnect to single nodes by themselves.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, future::try_join_all};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
    RedisConnectionInfo, RedisError, ServerErrorKind, TlsCertificates, TlsMode,
    aio::MultiplexedConnection,
    cluster::{ClusterClient, ClusterClientBuilder},
    cluster_async::ClusterConnection,
    cluster_routing::{RoutingInfo, SingleNodeRoutingInfo},
    io::tcp::TcpSettings,
    sentinel::{SentinelClientBuilder, SentinelServerType},
};
use tokio::sync::mpsc;

use crate::{
    Condition, Config, ConfigError, Connector, Driver, Error, Script, Value,
    address::{Address, Credentials, Topology},
    driver::{literal_prefix, milliseconds},
};

/// How many undelivered messages a subscription may hold before the connection is given up as too slow.
const SUBSCRIPTION_BUFFER: usize = 4096;

/// A redis-rs connection as a [`Driver`].
#[derive(Clone)]
pub struct RedisRs {
    link: Link,
    /// Where subscriptions connect to; a connection handed in without a client has none.
    subscriber: Option<Subscriber>,
}

#[derive(Clone)]
enum Link {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

#[derive(Clone)]
enum Subscriber {
    One(Client),
    /// Cluster nodes pass published messages on to each other, so any node will do.
    AnyOf(Arc<[Client]>),
}

impl fmt::Debug for RedisRs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topology = match self.link {
            Link::One(_) => "one",
            Link::Cluster(_) => "cluster",
        };
        f.debug_struct("RedisRs").field("topology", &topology).finish_non_exhaustive()
    }
}

impl RedisRs {
    /// Uses a connection that you already have. `client` makes the connections for subscriptions; without it
    /// [`Driver::subscribe`] is refused.
    pub fn from_connection(connection: MultiplexedConnection, client: Option<Client>) -> Self {
        Self { link: Link::One(connection), subscriber: client.map(Subscriber::One) }
    }

    /// Uses a cluster connection that you already have. `nodes` are clients of some of its nodes, for
    /// subscriptions.
    pub fn from_cluster(connection: ClusterConnection, nodes: Vec<Client>) -> Self {
        let subscriber = (!nodes.is_empty()).then(|| Subscriber::AnyOf(nodes.into()));
        Self { link: Link::Cluster(connection), subscriber }
    }

    async fn query(&self, command: &Cmd) -> Result<redis::Value, Error> {
        // Connections are handles: a clone shares the socket.
        match self.link.clone() {
            Link::One(mut connection) => connection.send_packed_command(command).await,
            Link::Cluster(mut connection) => command.query_async(&mut connection).await,
        }
        .and_then(redis::Value::extract_error)
        .map_err(|error| classify(&error))
    }

    async fn query_any_node(&self, command: Cmd) -> Result<redis::Value, Error> {
        match self.link.clone() {
            Link::One(_) => self.query(&command).await,
            Link::Cluster(mut connection) => connection
                .route_command(command, RoutingInfo::SingleNode(SingleNodeRoutingInfo::RandomPrimary))
                .await
                .map_err(|error| classify(&error)),
        }
    }

    async fn eval_by(
        &self,
        verb: &str,
        body: &str,
        keys: &[Bytes],
        args: &[Bytes],
    ) -> Result<Value, EvalError> {
        let mut command = redis::cmd(verb);
        command.arg(body).arg(keys.len());
        for part in keys.iter().chain(args) {
            command.arg(part.as_ref());
        }
        let reply = match self.link.clone() {
            Link::One(mut connection) => connection.send_packed_command(&command).await,
            Link::Cluster(mut connection) => command.query_async(&mut connection).await,
        }
        .and_then(redis::Value::extract_error);
        match reply {
            Ok(value) => Ok(convert(value)),
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                Err(EvalError::NoScript)
            }
            Err(error) => Err(EvalError::Other(classify(&error))),
        }
    }

    /// Deletes the keys with this prefix on the server behind one connection.
    async fn purge_one(connection: &mut MultiplexedConnection, pattern: &[u8]) -> Result<u64, RedisError> {
        let mut cursor = 0_u64;
        let mut deleted = 0_u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(1000);
            let (next, keys): (u64, Vec<Vec<u8>>) = scan.query_async(connection).await?;
            if !keys.is_empty() {
                // One command per key: in a cluster the keys of one answer may belong to different slots.
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

enum EvalError {
    NoScript,
    Other(Error),
}

#[async_trait]
impl Driver for RedisRs {
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let mut command = redis::cmd("GET");
        command.arg(key);
        bytes_of(self.query(&command).await?)
    }

    async fn get_with_ttl(&self, key: &[u8]) -> Result<Option<(Bytes, Option<Duration>)>, Error> {
        let (mut get, mut pttl) = (redis::cmd("GET"), redis::cmd("PTTL"));
        get.arg(key);
        pttl.arg(key);
        let (value, left) = tokio::try_join!(self.query(&get), self.query(&pttl))?;
        let Some(value) = bytes_of(value)? else { return Ok(None) };
        // -1 is a key without expiry, -2 one that vanished between the two commands.
        Ok(match convert(left).as_int()? {
            -1 => Some((value, None)),
            left => u64::try_from(left).ok().map(|left| (value, Some(Duration::from_millis(left)))),
        })
    }

    async fn get_many(&self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, Error> {
        // Commands sent at once share a write and a round trip, and a cluster routes each by its slot.
        try_join_all(keys.iter().map(|key| self.get(key))).await
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
            Err(EvalError::NoScript) => {
                tracing::debug!(script = script.name(), "sending a script that the server does not know");
                match self.eval_by("EVAL", script.source(), keys, args).await {
                    Err(EvalError::NoScript) => Err(Error::unexpected("NOSCRIPT")),
                    Err(EvalError::Other(error)) => Err(error),
                    Ok(value) => Ok(value),
                }
            }
            Err(EvalError::Other(error)) => Err(error),
            Ok(value) => Ok(value),
        }
    }

    async fn publish(&self, channel: &[u8], message: &[u8]) -> Result<u64, Error> {
        let mut command = redis::cmd("PUBLISH");
        command.arg(channel).arg(message);
        count_of(self.query_any_node(command).await?)
    }

    async fn subscribe(&self, channel: &[u8]) -> Result<mpsc::Receiver<Bytes>, Error> {
        let mut pubsub = match &self.subscriber {
            None => return Err(Error::unexpected("no client for subscriptions was given")),
            Some(Subscriber::One(client)) => {
                client.get_async_pubsub().await.map_err(|error| classify(&error))?
            }
            Some(Subscriber::AnyOf(clients)) => first_reachable(clients).await?,
        };
        pubsub.subscribe(channel).await.map_err(|error| classify(&error))?;
        let (sender, receiver) = mpsc::channel(SUBSCRIPTION_BUFFER);
        tokio::spawn(async move {
            let mut messages = pubsub.into_on_message();
            loop {
                let message = tokio::select! {
                    message = messages.next() => message,
                    () = sender.closed() => break,
                };
                let Some(message) = message else { break };
                // A full buffer ends the subscription: its reader learns that messages were missed, which it
                // would not if single messages were dropped.
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
        reply.map_err(|error| classify(&error))
    }

    async fn purge(&self, prefix: &[u8]) -> Result<u64, Error> {
        let pattern = literal_prefix(prefix);
        let mut nodes = match self.link.clone() {
            Link::One(connection) => vec![connection],
            Link::Cluster(mut connection) => {
                let Some(Subscriber::AnyOf(seeds)) = &self.subscriber else {
                    return Err(Error::unexpected("no client for single nodes was given"));
                };
                let mut slots = redis::cmd("CLUSTER");
                slots.arg("SLOTS");
                let table = connection
                    .route_command(slots, RoutingInfo::SingleNode(SingleNodeRoutingInfo::Random))
                    .await
                    .map_err(|error| classify(&error))?;
                let mut nodes = Vec::new();
                for client in masters(table, seeds.first()) {
                    let connection = client.get_multiplexed_async_connection().await;
                    nodes.push(connection.map_err(|error| classify(&error))?);
                }
                nodes
            }
        };
        let mut deleted = 0;
        for connection in &mut nodes {
            deleted += Self::purge_one(connection, &pattern).await.map_err(|error| classify(&error))?;
        }
        Ok(deleted)
    }
}

async fn first_reachable(clients: &[Client]) -> Result<redis::aio::PubSub, Error> {
    let mut last = Error::Refused;
    for client in clients {
        match client.get_async_pubsub().await {
            Ok(pubsub) => return Ok(pubsub),
            Err(error) => last = classify(&error),
        }
    }
    Err(last)
}

/// Clients of every master in an answer to `CLUSTER SLOTS`, with the settings of one that is known.
fn masters(table: redis::Value, like: Option<&Client>) -> Vec<Client> {
    let (redis::Value::Array(ranges), Some(like)) = (table, like) else { return Vec::new() };
    let mut addresses: Vec<(String, u16)> = ranges
        .into_iter()
        .filter_map(|range| {
            // A range is: first slot, last slot, the master's [host, port, ...], replicas.
            let redis::Value::Array(mut fields) = range else { return None };
            if fields.len() < 3 {
                return None;
            }
            let redis::Value::Array(master) = fields.swap_remove(2) else { return None };
            let mut master = master.into_iter();
            let host = redis::from_redis_value(master.next()?).ok()?;
            let port = redis::from_redis_value(master.next()?).ok()?;
            Some((host, port))
        })
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    let info = like.get_connection_info();
    addresses
        .into_iter()
        .filter_map(|(host, port)| {
            let addr = match info.addr().clone() {
                ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                    ConnectionAddr::TcpTls { host, port, insecure, tls_params }
                }
                _ => ConnectionAddr::Tcp(host, port),
            };
            Client::open(info.clone().set_addr(addr)).ok()
        })
        .collect()
}

fn count_of(value: redis::Value) -> Result<u64, Error> {
    // A command sent to several nodes may answer with one number each.
    match convert(value) {
        Value::Array(values) => values.iter().map(|v| v.as_int().map(i64::unsigned_abs)).sum(),
        value => value.as_int().map(i64::unsigned_abs),
    }
}

fn bytes_of(value: redis::Value) -> Result<Option<Bytes>, Error> {
    match value {
        redis::Value::BulkString(bytes) => Ok(Some(bytes.into())),
        redis::Value::Nil => Ok(None),
        _ => Err(Error::unexpected("GET")),
    }
}

fn convert(value: redis::Value) -> Value {
    match value {
        redis::Value::Int(number) => Value::Int(number),
        redis::Value::BulkString(bytes) => Value::Bytes(bytes.into()),
        redis::Value::SimpleString(text) | redis::Value::VerbatimString { text, .. } => {
            Value::Bytes(text.into())
        }
        redis::Value::Okay => Value::Bytes(Bytes::from_static(b"OK")),
        redis::Value::Array(values) | redis::Value::Set(values) => {
            Value::Array(values.into_iter().map(convert).collect())
        }
        redis::Value::Map(pairs) => {
            Value::Array(pairs.into_iter().flat_map(|(key, value)| [convert(key), convert(value)]).collect())
        }
        redis::Value::Double(number) => Value::Bytes(number.to_string().into()),
        redis::Value::Boolean(truth) => Value::Int(truth.into()),
        _ => Value::Nil,
    }
}

/// The kind of a redis-rs error, without its text.
fn classify(error: &RedisError) -> Error {
    match error.kind() {
        ErrorKind::AuthenticationFailed => Error::Auth,
        ErrorKind::MasterNameNotFoundBySentinel
        | ErrorKind::NoValidReplicasFoundBySentinel
        | ErrorKind::ClusterConnectionNotFound => Error::Refused,
        ErrorKind::Io if error.is_timeout() => Error::Timeout,
        ErrorKind::Io if error.is_connection_refusal() => Error::Refused,
        ErrorKind::Io if is_tls(error) => Error::Tls,
        ErrorKind::Io => Error::Lost,
        _ => match error.code() {
            Some(code) => Error::from_code(code),
            None if error.is_unrecoverable_error() => Error::Lost,
            None => Error::unexpected("client"),
        },
    }
}

/// TLS failures reach us as I/O errors that wrap an error of rustls.
fn is_tls(error: &RedisError) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if inner.is::<rustls::Error>() {
            return true;
        }
        if let Some(io) = inner.downcast_ref::<std::io::Error>()
            && io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
        {
            return true;
        }
        source = inner.source();
    }
    false
}

/// Connects redis-rs to an address.
#[derive(Debug)]
pub(crate) struct RedisRsConnector {
    target: Target,
    connect_timeout: Duration,
}

enum Target {
    One(Client),
    Cluster { client: ClusterClient, nodes: Arc<[Client]> },
    Sentinel { address: Address, certificates: TlsCertificates },
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One(_) => "One",
            Self::Cluster { .. } => "Cluster",
            Self::Sentinel { .. } => "Sentinel",
        })
    }
}

impl RedisRsConnector {
    pub(crate) fn new(config: &Config, address: Address) -> Result<Self, ConfigError> {
        let certificates = TlsCertificates { client_tls: None, root_cert: config.ca.clone() };
        let unusable = |_: RedisError| ConfigError::Ca { problem: "the TLS settings were refused".into() };
        let clients = |address: &Address| -> Result<Vec<Client>, ConfigError> {
            address
                .nodes
                .iter()
                .map(|node| {
                    let info = connection_info(address, &node.host, node.port).map_err(unusable)?;
                    if address.tls {
                        Client::build_with_tls(info, certificates.clone())
                    } else {
                        Client::open(info)
                    }
                    .map_err(unusable)
                })
                .collect()
        };
        let target = match address.topology {
            Topology::Standalone => {
                let first = clients(&address)?.into_iter().next();
                Target::One(first.ok_or(ConfigError::Url { setting: "url", problem: "no host".into() })?)
            }
            Topology::Cluster => {
                let nodes = clients(&address)?;
                let infos = nodes.iter().map(|client| client.get_connection_info().clone());
                let mut builder = ClusterClientBuilder::new(infos)
                    .connection_timeout(config.connect_timeout)
                    .overall_response_timeout(None)
                    // Retries inside the library lengthen a command beyond what its caller waits for.
                    .retries(3)
                    .max_retry_wait(200)
                    .tcp_settings(tcp());
                if address.tls {
                    builder = builder.tls(TlsMode::Secure).certs(certificates.clone());
                }
                Target::Cluster { client: builder.build().map_err(unusable)?, nodes: nodes.into() }
            }
            Topology::Sentinel { .. } => Target::Sentinel { address, certificates },
        };
        Ok(Self { target, connect_timeout: config.connect_timeout })
    }

    async fn connect_one(&self, client: &Client) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(None);
        client.get_multiplexed_async_connection_with_config(&config).await
    }
}

#[async_trait]
impl Connector for RedisRsConnector {
    async fn connect(&self) -> Result<Arc<dyn Driver>, Error> {
        let driver = match &self.target {
            Target::One(client) => {
                let connection = self.connect_one(client).await.map_err(|error| classify(&error))?;
                RedisRs { link: Link::One(connection), subscriber: Some(Subscriber::One(client.clone())) }
            }
            Target::Cluster { client, nodes } => {
                let connection = client.get_async_connection().await.map_err(|error| classify(&error))?;
                RedisRs {
                    link: Link::Cluster(connection),
                    subscriber: Some(Subscriber::AnyOf(Arc::clone(nodes))),
                }
            }
            Target::Sentinel { address, certificates } => {
                let client = resolve_master(address, certificates).await.map_err(|error| classify(&error))?;
                let connection = self.connect_one(&client).await.map_err(|error| classify(&error))?;
                RedisRs { link: Link::One(connection), subscriber: Some(Subscriber::One(client)) }
            }
        };
        Ok(Arc::new(driver))
    }
}

/// Asks the Sentinels for the master, from scratch: what they said before the last failure is worth nothing.
async fn resolve_master(address: &Address, certificates: &TlsCertificates) -> Result<Client, RedisError> {
    let Topology::Sentinel { master, credentials } = &address.topology else {
        return Err(RedisError::from((ErrorKind::InvalidClientConfig, "not a sentinel address")));
    };
    let sentinels = address.nodes.iter().map(|node| endpoint(address.tls, &node.host, node.port));
    let mut builder = SentinelClientBuilder::new(sentinels, master, SentinelServerType::Master)?
        .set_client_to_redis_db(address.database.into())
        .set_client_to_redis_tcp_settings(tcp())
        .set_client_to_sentinel_tcp_settings(tcp());
    let Credentials { username, password } = &address.credentials;
    if let Some(username) = username {
        builder = builder.set_client_to_redis_username(username);
    }
    if let Some(password) = password {
        builder = builder.set_client_to_redis_password(password);
    }
    if let Some(username) = &credentials.username {
        builder = builder.set_client_to_sentinel_username(username);
    }
    if let Some(password) = &credentials.password {
        builder = builder.set_client_to_sentinel_password(password);
    }
    if address.tls {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_sentinel_tls_mode(TlsMode::Secure)
            .set_client_to_redis_certificates(certificates.clone())
            .set_client_to_sentinel_certificates(certificates.clone());
    }
    builder.build()?.async_get_client().await
}

fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

fn endpoint(tls: bool, host: &str, port: u16) -> ConnectionAddr {
    if tls {
        ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host.to_owned(), port)
    }
}

fn connection_info(address: &Address, host: &str, port: u16) -> Result<ConnectionInfo, RedisError> {
    let mut settings = RedisConnectionInfo::default().set_db(address.database.into());
    if let Some(username) = &address.credentials.username {
        settings = settings.set_username(username);
    }
    if let Some(password) = &address.credentials.password {
        settings = settings.set_password(password);
    }
    Ok(endpoint(address.tls, host, port)
        .into_connection_info()?
        .set_redis_settings(settings)
        .set_tcp_settings(tcp()))
}
