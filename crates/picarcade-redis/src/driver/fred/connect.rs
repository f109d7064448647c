//! Connects fred: standalone, Cluster, Sentinel, with and without TLS.
//!
//! The defaults of fred are changed for safety. Each command has one attempt, because fred would
//! silently resend it up to three times. fred does not reconnect: the supervisor of the handle
//! replaces the whole client, so that missed invalidations are replayed first. The queue is
//! bounded, `TCP_NODELAY` is set, and connections that stop answering have a deadline.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use fred::{
    clients::Client,
    types::config::{
        ClusterDiscoveryPolicy, Config as FredConfig, ConnectionConfig, PerformanceConfig, Server,
        ServerConfig, TcpConfig, UnresponsiveConfig,
    },
};

use super::{
    client::{Fred, SUBSCRIPTION_BUFFER},
    connected::Connected,
};
use crate::{
    Cause, Config, ConfigError, Connector, Driver, Error,
    address::{Address, Credentials, Topology},
    config::trusted,
    routing::reach::Reach,
};

/// Commands that fred queues before it refuses more. The bound of the handle is reached first.
const QUEUE: usize = 65_536;

pub(crate) struct FredConnector {
    config: FredConfig,
    connection: ConnectionConfig,
    performance: PerformanceConfig,
    reach: Reach,
}

impl fmt::Debug for FredConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The `Debug` output of fred may contain credentials.
        f.write_str("FredConnector")
    }
}

impl FredConnector {
    pub(crate) fn new(config: &Config, address: Address) -> Result<Self, ConfigError> {
        let tls = address.tls.then(|| client_tls(config.ca.as_deref())).transpose()?;
        let reach = Reach::new(&address, config.connect_timeout);
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
                policy: ClusterDiscoveryPolicy::default(),
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
            reach,
        })
    }

    fn client(&self, config: FredConfig) -> Client {
        Client::new(config, Some(self.performance.clone()), Some(self.connection.clone()), None)
    }

    /// Returns clients of the single nodes of a cluster; none for other topologies, whose client
    /// can be copied.
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

    async fn explain(&self, error: &Error) -> Cause {
        self.reach.explain(error).await
    }
}

fn client_tls(ca: Option<&[u8]>) -> Result<rustls::ClientConfig, ConfigError> {
    let roots = match ca {
        Some(pem) => trusted(pem)?,
        None => webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(),
    };
    // The provider is explicit: a process-wide default may be missing or different.
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
    fn unsafe_defaults_of_fred_are_replaced() {
        let address = Address::parse("redis://h").unwrap();
        let connector = FredConnector::new(&Config::default(), address).unwrap();
        assert_eq!(connector.connection.tcp.nodelay, Some(true), "small commands are delayed");
        assert_eq!(connector.connection.max_command_attempts, 1, "commands may be sent twice");
        assert!(connector.connection.max_command_buffer_len > 0, "the queue has no limit");
        assert!(connector.connection.unresponsive.max_timeout.is_some(), "dead connections are not detected");
    }
}
