//! A primary, a replica, and three Sentinels that watch them and agree on the primary.

use std::sync::Arc;

use super::builder::{RedisBuilder, quoted};
use super::server::{RedisServer, percent_encoded};
use super::wire::until;
use crate::error::{Error, Result};
use crate::host::runtime;

/// The name under which the Sentinels know the primary.
const MASTER: &str = "mymaster";

/// Two data servers and three Sentinels, killed on drop. A server that does not answer for half a
/// second counts as down.
#[derive(Debug, Clone)]
pub struct RedisSentinel {
    servers: Arc<[RedisServer]>,
    sentinels: Arc<[RedisServer]>,
    password: Option<String>,
}

impl RedisSentinel {
    /// Starts the servers without a password and waits until all Sentinels know each other and both
    /// data servers.
    ///
    /// # Errors
    ///
    /// Fails like [`RedisBuilder::start`], or if the Sentinels do not agree within a minute.
    pub async fn start() -> Result<Self> {
        Self::start_with(None).await
    }

    /// Starts the servers with a password for the data servers.
    ///
    /// # Errors
    ///
    /// Fails like [`start`](Self::start).
    pub async fn start_with_password(password: impl Into<String>) -> Result<Self> {
        Self::start_with(Some(password.into())).await
    }

    async fn start_with(password: Option<String>) -> Result<Self> {
        runtime::run(async move {
            let mut data = RedisServer::builder();
            if let Some(password) = &password {
                // The primary needs the password too, because it may become a replica.
                data = data.arg("masterauth", quoted(password)).password(password);
            }
            let primary = data.clone().start().await?;
            let replica = data.replica_of(&primary).start().await?;
            let watch = RedisBuilder {
                watches: Some(primary.port()),
                password: password.clone(),
                ..RedisBuilder::default()
            };
            let mut sentinels = Vec::new();
            for _ in 0..3 {
                sentinels.push(watch.clone().start().await?);
            }
            let set = Self { servers: [primary, replica].into(), sentinels: sentinels.into(), password };
            until("redis sentinel", || set.agree()).await?;
            Ok(set)
        })
        .await
    }

    /// Returns one URL with all Sentinels and the password of the data servers:
    /// `redis-sentinel://…/0?sentinelServiceName=mymaster&node=…`.
    pub fn url(&self) -> String {
        let secret =
            self.password.as_ref().map(|it| format!(":{}@", percent_encoded(it))).unwrap_or_default();
        let addresses: Vec<_> = self.sentinels.iter().map(|sentinel| sentinel.addr().to_string()).collect();
        // The first Sentinel is the host of the URL, and the others are parameters.
        let nodes = addresses.join("&node=");
        let (first, others) = nodes.split_once('&').unwrap_or((&nodes, ""));
        format!("redis-sentinel://{secret}{first}/0?sentinelServiceName={MASTER}&{others}")
    }

    /// Returns the two data servers. The first one is the primary at the start.
    pub fn servers(&self) -> &[RedisServer] {
        &self.servers
    }

    /// Returns the primary, as the Sentinels see it.
    ///
    /// # Errors
    ///
    /// Fails if no Sentinel answers.
    pub async fn primary(&self) -> Result<&RedisServer> {
        for sentinel in self.sentinels.iter() {
            let Ok(address) = sentinel.command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER]).await else {
                continue;
            };
            let leads =
                |server: &&RedisServer| address.lines().nth(1) == Some(server.port().to_string().as_str());
            if let Some(server) = self.servers.iter().find(leads) {
                return Ok(server);
            }
        }
        Err(Error::Protocol("no Sentinel knows a primary".to_owned()))
    }

    /// Kills the primary and waits until the other server is the primary.
    ///
    /// # Errors
    ///
    /// Fails if the Sentinels do not decide within a minute.
    pub async fn lose_primary(&self) -> Result<()> {
        let primary = self.primary().await?;
        let port = primary.port();
        primary.kill();
        let set = self.clone();
        runtime::run(async move { set.led_by_another(port).await }).await
    }

    /// Waits until every Sentinel names another server than the one at `port`, and that server
    /// accepts writes.
    async fn led_by_another(&self, port: u16) -> Result<()> {
        until("redis sentinel", || async {
            for sentinel in self.sentinels.iter() {
                let address = sentinel.command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER]).await?;
                if address.lines().nth(1) == Some(port.to_string().as_str()) {
                    return Ok(None);
                }
            }
            let role = self.primary().await?.command(&["ROLE"]).await?;
            Ok(role.starts_with("master").then_some(()))
        })
        .await
    }

    async fn agree(&self) -> Result<Option<()>> {
        for sentinel in self.sentinels.iter() {
            let report = sentinel.command(&["INFO", "sentinel"]).await?;
            if !report.contains("status=ok") || !report.contains("slaves=1,sentinels=3") {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }
}
