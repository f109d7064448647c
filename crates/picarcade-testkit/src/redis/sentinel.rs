//! A primary, a replica, and three Sentinels that watch them and agree on who leads.

use std::sync::Arc;

use super::builder::{RedisBuilder, quoted};
use super::server::{RedisServer, percent_encoded};
use super::settle::until;
use crate::error::{Error, Result};
use crate::host::runtime;

/// The name under which the Sentinels know the primary.
const MASTER: &str = "mymaster";

/// Two data servers and three Sentinels, killed when dropped. A server that does not answer for half a second counts as down.
#[derive(Debug, Clone)]
pub struct RedisSentinel {
    servers: Arc<[RedisServer]>,
    sentinels: Arc<[RedisServer]>,
    password: Option<String>,
}

impl RedisSentinel {
    /// Starts them without a password, and waits until all Sentinels know each other and both servers.
    ///
    /// # Errors
    ///
    /// As [`RedisBuilder::start`], or they did not agree within a minute.
    pub async fn start() -> Result<Self> {
        Self::start_with(None).await
    }

    /// The same with a password for the data servers.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn start_with_password(password: impl Into<String>) -> Result<Self> {
        Self::start_with(Some(password.into())).await
    }

    async fn start_with(password: Option<String>) -> Result<Self> {
        runtime::run(async move {
            let mut data = RedisServer::builder();
            if let Some(password) = &password {
                // Whoever leads today follows tomorrow.
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

    /// All Sentinels in one URL, the data servers' password included:
    /// `redis-sentinel://…/0?sentinelServiceName=mymaster&node=…`.
    pub fn url(&self) -> String {
        let secret =
            self.password.as_ref().map(|it| format!(":{}@", percent_encoded(it))).unwrap_or_default();
        let addresses: Vec<_> = self.sentinels.iter().map(|sentinel| sentinel.addr().to_string()).collect();
        // The first Sentinel is the host of the URL, the others are parameters.
        let nodes = addresses.join("&node=");
        let (first, others) = nodes.split_once('&').unwrap_or((&nodes, ""));
        format!("redis-sentinel://{secret}{first}/0?sentinelServiceName={MASTER}&{others}")
    }

    /// The two data servers; at the start the first one leads.
    pub fn servers(&self) -> &[RedisServer] {
        &self.servers
    }

    /// The three Sentinels.
    pub fn sentinels(&self) -> &[RedisServer] {
        &self.sentinels
    }

    /// The server that leads, as the Sentinels see it.
    ///
    /// # Errors
    ///
    /// No Sentinel answers.
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

    /// Orders a fail-over, and waits until the other server leads.
    ///
    /// # Errors
    ///
    /// The Sentinels refuse, or it did not happen within a minute.
    pub async fn failover(&self) -> Result<()> {
        let before = self.primary().await?.port();
        let sentinel = self.sentinels.first().ok_or_else(|| Error::Protocol("no Sentinel".to_owned()))?;
        let set = self.clone();
        let port = before;
        sentinel.command(&["SENTINEL", "FAILOVER", MASTER]).await?;
        runtime::run(async move { set.led_by_another(port).await }).await
    }

    /// Kills the server that leads, and waits until the other one does.
    ///
    /// # Errors
    ///
    /// The Sentinels did not decide within a minute.
    pub async fn lose_primary(&self) -> Result<()> {
        let primary = self.primary().await?;
        let port = primary.port();
        primary.kill();
        let set = self.clone();
        runtime::run(async move { set.led_by_another(port).await }).await
    }

    /// Waits until every Sentinel names another server than the one at `port`, and that server takes writes.
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
