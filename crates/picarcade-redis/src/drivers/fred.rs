//! fred behind the trait.
//!
//! fred's defaults are made safe here: one attempt per command (it would resend silently, up to three times), no
//! reconnection of its own (the handle's supervisor replaces the whole client, so that missed invalidations are replayed first),
//! a bounded queue, `TCP_NODELAY`, and a deadline for connections that stop answering.
//!
//! The commands of every day go through fred's own methods: of those that wait together it flushes the last one, but each
//! one that it does not know (`custom`). Scripts it flushes in either case, and they must name their slot, so they stay
//! `custom`, as do the rare ones.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use fred::{
    clients::Client,
    error::{Error as FredError, ErrorKind},
    interfaces::{ClientLike, EventInterface, KeysInterface, PubsubInterface},
    types::{
        ClusterHash, ConnectHandle, CustomCommand, Expiration, Key, SetOptions, Value as FredValue,
        config::{
            Config as FredConfig, ConnectionConfig, PerformanceConfig, Server, ServerConfig, TcpConfig,
            UnresponsiveConfig,
        },
        scan::Scanner,
    },
    util::redis_keyslot,
};
use futures_util::{
    StreamExt,
    future::{poll_immediate, try_join_all},
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio::sync::{broadcast::error::RecvError, mpsc};

use crate::{
    Condition, Config, ConfigError, Connector, Driver, Error, Script, Value,
    address::{Address, Credentials, Topology},
    driver::{literal_prefix, milliseconds},
};

/// Commands that fred holds before it refuses more; the handle's own bound is reached first.
const QUEUE: usize = 65_536;
const SUBSCRIPTION_BUFFER: usize = 4096;

/// A fred client as a [`Driver`].
pub struct Fred {
    client: Client,
    /// Ends the client when this is dropped; a client handed in lives on.
    owned: Option<Connected>,
    /// Where subscriptions connect to, each alone: cluster nodes pass published messages on to each other. Empty for
    /// a client that was handed in, whose settings are copied instead.
    subscribers: Vec<Client>,
}

impl fmt::Debug for Fred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fred").field("owned", &self.owned.is_some()).finish_non_exhaustive()
    }
}

/// The task that connects a client and keeps it connected, for as long as this lives.
struct Connected(ConnectHandle);

impl Connected {
    /// Connects. May be dropped meanwhile, which ends the attempt: fred's own `init` would go on by itself.
    async fn open(client: &Client) -> Result<Self, Error> {
        let mut connected = Box::pin(client.wait_for_connect());
        // It listens from its first poll on, and must not miss an answer that comes at once.
        let early = poll_immediate(&mut connected).await;
        let task = Self(client.connect());
        let outcome = match early {
            Some(outcome) => outcome,
            None => connected.await,
        };
        outcome.map(|()| task).map_err(|error| classify(&error))
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Fred {
    /// Uses a client that you already have (of a pool: one of its clients), which must be connected and should have a
    /// reconnect policy.
    pub fn from_client(client: Client) -> Self {
        Self { client, owned: None, subscribers: Vec::new() }
    }

    async fn query(
        &self,
        name: &'static str,
        hash: ClusterHash,
        args: Vec<FredValue>,
    ) -> Result<FredValue, Error> {
        told(self.ask(name, hash, args).await)
    }

    async fn ask(
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
        // The first key comes after the script and the count; of custom commands fred heeds no other way to say so.
        let hash = keys.first().map_or(ClusterHash::Random, |key| ClusterHash::Custom(redis_keyslot(key)));
        self.ask(name, hash, all).await
    }
}

#[async_trait]
impl Driver for Fred {
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        bytes_of(told(self.client.get(name(key)).await)?)
    }

    async fn get_with_ttl(&self, key: &[u8]) -> Result<Option<(Bytes, Option<Duration>)>, Error> {
        let key = name(key);
        let (value, left) =
            told(tokio::try_join!(self.client.get(key.clone()), self.client.pttl::<FredValue, _>(key)))?;
        let Some(value) = bytes_of(value)? else { return Ok(None) };
        // -1 is a key without expiry, -2 one that vanished between the two commands.
        Ok(match convert(left).as_int()? {
            -1 => Some((value, None)),
            left => u64::try_from(left).ok().map(|left| (value, Some(Duration::from_millis(left)))),
        })
    }

    async fn get_many(&self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, Error> {
        try_join_all(keys.iter().map(|key| self.get(key))).await
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
        match told(self.client.set(name(key), word(value), expiry, options, false).await)? {
            FredValue::Null => Ok(false),
            FredValue::String(_) | FredValue::Bytes(_) => Ok(true),
            _ => Err(Error::unexpected("SET")),
        }
    }

    async fn delete(&self, keys: &[Bytes]) -> Result<u64, Error> {
        let counts = try_join_all(
            keys.iter()
                .map(|key| async move { count_of(told(self.client.del(Key::from(key.clone())).await)?) }),
        )
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
        .map_err(|error| classify(&error))
    }

    async fn publish(&self, channel: &[u8], message: &[u8]) -> Result<u64, Error> {
        // By the channel's slot, in a cluster: messages of one publisher stay in order only by way of one node.
        count_of(self.query("PUBLISH", ClusterHash::FirstKey, vec![word(channel), word(message)]).await?)
    }

    async fn subscribe(&self, channel: &[u8]) -> Result<mpsc::Receiver<Bytes>, Error> {
        let channel = std::str::from_utf8(channel).map_err(|_| Error::unexpected("channel"))?;
        // A client of its own, without reconnection: its end is the end of the subscription.
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
        client.subscribe(channel).await.map_err(|error| classify(&error))?;
        let (sender, receiver) = mpsc::channel(SUBSCRIPTION_BUFFER);
        tokio::spawn(async move {
            loop {
                let message = tokio::select! {
                    message = messages.recv() => message,
                    _ = &mut task.0 => break,
                    () = sender.closed() => break,
                };
                match message {
                    // A full buffer ends the subscription: its reader learns that messages were missed.
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
        let mut deleted = 0;
        if self.client.is_clustered() {
            let mut pages = self.client.scan_cluster(pattern, Some(1000), None).boxed();
            while let Some(page) = pages.next().await {
                let mut page = page.map_err(|error| classify(&error))?;
                deleted += self.delete_page(page.take_results()).await?;
                page.next();
            }
        } else {
            let mut pages = self.client.scan(pattern, Some(1000), None).boxed();
            while let Some(page) = pages.next().await {
                let mut page = page.map_err(|error| classify(&error))?;
                deleted += self.delete_page(page.take_results()).await?;
                page.next();
            }
        }
        Ok(deleted)
    }
}

impl Fred {
    async fn delete_page(&self, keys: Option<Vec<Key>>) -> Result<u64, Error> {
        let keys: Vec<Bytes> =
            keys.unwrap_or_default().iter().map(|key| Bytes::copy_from_slice(key.as_bytes())).collect();
        self.delete(&keys).await
    }
}

/// A client with the settings of another one, that does not reconnect.
fn alone(like: &Client) -> Client {
    Client::new(like.client_config(), Some(like.perf_config()), Some(like.connection_config().clone()), None)
}

fn name(key: &[u8]) -> Key {
    Bytes::copy_from_slice(key).into()
}

fn told<T>(answer: Result<T, FredError>) -> Result<T, Error> {
    answer.map_err(|error| classify(&error))
}

fn word(bytes: &[u8]) -> FredValue {
    FredValue::Bytes(Bytes::copy_from_slice(bytes))
}

fn bytes_of(value: FredValue) -> Result<Option<Bytes>, Error> {
    match value {
        FredValue::Bytes(bytes) => Ok(Some(bytes)),
        FredValue::String(text) => Ok(Some(text.into_inner())),
        FredValue::Null => Ok(None),
        _ => Err(Error::unexpected("GET")),
    }
}

fn count_of(value: FredValue) -> Result<u64, Error> {
    convert(value).as_int().map(i64::unsigned_abs)
}

fn convert(value: FredValue) -> Value {
    match value {
        FredValue::Integer(number) => Value::Int(number),
        FredValue::Boolean(truth) => Value::Int(truth.into()),
        FredValue::Double(number) => Value::Bytes(number.to_string().into()),
        FredValue::String(text) => Value::Bytes(text.into_inner()),
        FredValue::Bytes(bytes) => Value::Bytes(bytes),
        FredValue::Array(values) => Value::Array(values.into_iter().map(convert).collect()),
        _ => Value::Nil,
    }
}

/// The first word of what a server said, when it is one of its codes.
fn code(error: &FredError) -> Option<&str> {
    let first = error.details().split_whitespace().next()?;
    let is_code = first.len() >= 2 && first.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    is_code.then_some(first)
}

/// The kind of a fred error, without its text.
fn classify(error: &FredError) -> Error {
    match error.kind() {
        ErrorKind::Timeout => Error::Timeout,
        ErrorKind::Tls => Error::Tls,
        ErrorKind::Auth => Error::Auth,
        ErrorKind::Backpressure => Error::Overloaded,
        // Of a failed handshake only its text comes through: rustls wraps its errors in this one of I/O.
        ErrorKind::IO if error.details().contains("kind: InvalidData") => Error::Tls,
        ErrorKind::IO if error.details().contains("refused") => Error::Refused,
        ErrorKind::IO | ErrorKind::Canceled => Error::Lost,
        ErrorKind::Routing | ErrorKind::Sentinel => Error::Refused,
        _ => match code(error) {
            Some(code) => Error::from_code(code),
            None => Error::unexpected("client"),
        },
    }
}

/// Connects fred to an address.
pub(crate) struct FredConnector {
    config: FredConfig,
    connection: ConnectionConfig,
    performance: PerformanceConfig,
}

impl fmt::Debug for FredConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // fred's own Debug may show credentials.
        f.write_str("FredConnector")
    }
}

impl FredConnector {
    pub(crate) fn new(config: &Config, address: Address) -> Result<Self, ConfigError> {
        let tls = address.tls.then(|| client_tls(config.ca.as_deref())).transpose()?;
        let Credentials { username, password } = address.credentials;
        let mut servers = address.nodes.into_iter().map(|node| Server::new(node.host, node.port));
        let server = match address.topology {
            Topology::Standalone => ServerConfig::Centralized {
                server: servers
                    .next()
                    .ok_or(ConfigError::Url { setting: "url", problem: "no host".into() })?,
            },
            Topology::Cluster => ServerConfig::Clustered {
                hosts: servers.collect(),
                policy: fred::types::config::ClusterDiscoveryPolicy::default(),
            },
            Topology::Sentinel { master, credentials } => ServerConfig::Sentinel {
                hosts: servers.collect(),
                service_name: master,
                username: credentials.username,
                password: credentials.password,
            },
        };
        let connection = ConnectionConfig {
            connection_timeout: config.connect_timeout,
            internal_command_timeout: config.connect_timeout,
            max_command_attempts: 1,
            max_command_buffer_len: QUEUE,
            unresponsive: UnresponsiveConfig {
                max_timeout: Some(config.command_timeout.saturating_mul(config.failure_threshold)),
                interval: config.command_timeout,
            },
            tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() },
            ..ConnectionConfig::default()
        };
        Ok(Self {
            config: FredConfig {
                username,
                password,
                server,
                database: (address.database != 0).then_some(address.database),
                tls: tls.map(Into::into),
                ..FredConfig::default()
            },
            connection,
            performance: PerformanceConfig {
                broadcast_channel_capacity: SUBSCRIPTION_BUFFER,
                ..PerformanceConfig::default()
            },
        })
    }
}

impl FredConnector {
    fn client(&self, config: FredConfig) -> Client {
        Client::new(config, Some(self.performance.clone()), Some(self.connection.clone()), None)
    }

    /// Clients of the single nodes of a cluster; none for the other topologies, whose client can be copied.
    fn subscribers(&self) -> Vec<Client> {
        let ServerConfig::Clustered { hosts, .. } = &self.config.server else { return Vec::new() };
        let single = |server: &Server| ServerConfig::Centralized { server: server.clone() };
        hosts
            .iter()
            .map(|host| self.client(FredConfig { server: single(host), ..self.config.clone() }))
            .collect()
    }
}

#[async_trait]
impl Connector for FredConnector {
    async fn connect(&self) -> Result<Arc<dyn Driver>, Error> {
        let client = self.client(self.config.clone());
        let owned = Connected::open(&client).await?;
        Ok(Arc::new(Fred { client, owned: Some(owned), subscribers: self.subscribers() }))
    }
}

fn client_tls(ca: Option<&[u8]>) -> Result<rustls::ClientConfig, ConfigError> {
    let mut roots = rustls::RootCertStore::empty();
    match ca {
        Some(pem) => {
            let unusable = |_| ConfigError::Ca { problem: "not PEM".into() };
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let added = roots.add(certificate.map_err(unusable)?);
                added.map_err(|_| ConfigError::Ca { problem: "not a CA certificate".into() })?;
            }
        }
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    // The provider is named: a process-wide default may be missing, or another one.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| ConfigError::Ca { problem: "the TLS settings were refused".into() })?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::FredConnector;
    use crate::{Config, address::Address};

    #[test]
    fn the_librarys_defaults_are_made_safe() {
        let address = Address::parse("redis://h").unwrap();
        let connector = FredConnector::new(&Config::default(), address).unwrap();
        assert_eq!(connector.connection.tcp.nodelay, Some(true), "small commands are not held back");
        assert_eq!(connector.connection.max_command_attempts, 1, "nothing is sent twice behind our back");
        assert!(connector.connection.max_command_buffer_len > 0, "0 is no bound");
        assert!(connector.connection.unresponsive.max_timeout.is_some(), "black holes are noticed");
    }
}
