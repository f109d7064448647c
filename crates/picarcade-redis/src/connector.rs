//! Creates new [`Driver`]s as connections break.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use crate::{Config, ConfigError, Driver, Error, address::Address, config::DriverKind};

/// Creates connections to one endpoint. The handle calls it, under its own deadline, at the start
/// and whenever a connection must be replaced.
#[async_trait]
pub trait Connector: Send + Sync + fmt::Debug + 'static {
    /// Connects, authenticates, and resolves masters or slots again.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Refused`], [`Error::Auth`], [`Error::Tls`] or [`Error::Protocol`], by
    /// cause.
    async fn connect(&self) -> Result<Arc<dyn Driver>, Error>;
}

/// A connection that the user created, and whose client reconnects by itself.
#[derive(Debug)]
pub(crate) struct Given(pub(crate) Arc<dyn Driver>);

#[async_trait]
impl Connector for Given {
    async fn connect(&self) -> Result<Arc<dyn Driver>, Error> {
        Ok(Arc::clone(&self.0))
    }
}

/// Returns the connector of the configured driver.
pub(crate) fn for_address(config: &Config, address: Address) -> Result<Arc<dyn Connector>, ConfigError> {
    match config.driver {
        #[cfg(feature = "redis")]
        DriverKind::Redis => Ok(Arc::new(crate::drivers::redis_rs::RedisRsConnector::new(config, address)?)),
        #[cfg(feature = "fred")]
        DriverKind::Fred => Ok(Arc::new(crate::drivers::fred::FredConnector::new(config, address)?)),
        #[allow(unreachable_patterns)]
        other => {
            drop(address);
            Err(ConfigError::DriverMissing {
                driver: if other == DriverKind::Fred { "fred" } else { "redis" },
            })
        }
    }
}
