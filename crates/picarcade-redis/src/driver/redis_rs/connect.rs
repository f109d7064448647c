//! Connects redis-rs: standalone, Cluster, Sentinel, with and without TLS.
//!
//! `TCP_NODELAY` is set, which is not the default of the library. The response timeout of the
//! library is off, because the handle sets one deadline. Sentinel masters are resolved at every
//! connect.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
    RedisConnectionInfo, RedisError, TlsCertificates, TlsMode,
    aio::MultiplexedConnection,
    cluster::{ClusterClient, ClusterClientBuilder},
    io::tcp::TcpSettings,
    sentinel::{SentinelClientBuilder, SentinelServerType},
};

use super::{
    client::{Link, RedisRs},
    reply::error_kind,
};
use crate::{
    Cause, Config, ConfigError, Connector, Driver, Error,
    address::{Address, Credentials, Topology},
    routing::reach::Reach,
};

pub(crate) struct RedisRsConnector {
    target: Target,
    connect_timeout: Duration,
    reach: Reach,
}

enum Target {
    One(Arc<[Client]>),
    Cluster { client: Box<ClusterClient>, nodes: Arc<[Client]> },
    Sentinel { address: Address, certificates: TlsCertificates },
}

impl fmt::Debug for RedisRsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The clients contain credentials.
        f.write_str("RedisRsConnector")
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
        let reach = Reach::new(&address, config.connect_timeout);
        let target = match address.topology {
            Topology::Standalone => Target::One(clients(&address)?.into()),
            Topology::Cluster => {
                let nodes = clients(&address)?;
                let infos = nodes.iter().map(|client| client.get_connection_info().clone());
                let mut builder = ClusterClientBuilder::new(infos)
                    .connection_timeout(config.connect_timeout)
                    .overall_response_timeout(None)
                    // Retries inside the library would exceed the deadline of the caller.
                    .retries(3)
                    .max_retry_wait(200)
                    .tcp_settings(tcp());
                if address.tls {
                    builder = builder.tls(TlsMode::Secure).certs(certificates.clone());
                }
                Target::Cluster { client: Box::new(builder.build().map_err(unusable)?), nodes: nodes.into() }
            }
            Topology::Sentinel { .. } => Target::Sentinel { address, certificates },
        };
        Ok(Self { target, connect_timeout: config.connect_timeout, reach })
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
            Target::One(nodes) => {
                let client = nodes.first().ok_or(Error::Refused)?;
                let connection = self.connect_one(client).await.map_err(|error| error_kind(&error))?;
                RedisRs { link: Link::One(connection), nodes: Arc::clone(nodes) }
            }
            Target::Cluster { client, nodes } => {
                let connection = client.get_async_connection().await.map_err(|error| error_kind(&error))?;
                RedisRs { link: Link::Cluster(connection), nodes: Arc::clone(nodes) }
            }
            Target::Sentinel { address, certificates } => {
                let client =
                    resolve_master(address, certificates).await.map_err(|error| error_kind(&error))?;
                let connection = self.connect_one(&client).await.map_err(|error| error_kind(&error))?;
                RedisRs { link: Link::One(connection), nodes: [client].into() }
            }
        };
        Ok(Arc::new(driver))
    }

    async fn explain(&self, error: &Error) -> Cause {
        self.reach.explain(error).await
    }
}

impl RedisRs {
    /// Creates connections from an existing client and replaces broken ones: for
    /// [`RedisHandle::with_connectors`](crate::RedisHandle::with_connectors). Prefer this way to
    /// pass in a client, because the handle then replaces connections that time out or become
    /// read-only.
    ///
    /// ```
    /// use picarcade_redis::{Config, RedisHandle, RedisRs};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = redis::Client::open("redis://127.0.0.1:6379")?;
    /// let connector = RedisRs::connector(client);
    /// let redis = RedisHandle::with_connectors(Config::default(), connector, None)?;
    /// # drop(redis); Ok(()) }
    /// ```
    pub fn connector(client: Client) -> Arc<dyn Connector> {
        Arc::new(ClientConnector(client))
    }
}

/// Connects an existing client with the deadlines of the handle instead of the library's.
#[derive(Debug)]
struct ClientConnector(Client);

#[async_trait]
impl Connector for ClientConnector {
    async fn connect(&self) -> Result<Arc<dyn Driver>, Error> {
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let connection = self.0.get_multiplexed_async_connection_with_config(&config).await;
        let connection = connection.map_err(|error| error_kind(&error))?;
        Ok(Arc::new(RedisRs { link: Link::One(connection), nodes: [self.0.clone()].into() }))
    }
}

/// Asks the Sentinels for the master without a cached answer, which may be outdated after a
/// failure.
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

#[cfg(test)]
mod tests {
    use super::connection_info;
    use crate::address::Address;

    #[test]
    fn small_commands_are_sent_without_delay() {
        for url in ["redis://h", "rediss://h", "redis-cluster://h"] {
            let address = Address::parse(url).unwrap();
            assert!(connection_info(&address, "h", 1).unwrap().tcp_settings().nodelay(), "{url}");
        }
    }
}
