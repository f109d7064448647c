//! The choice of the driver by the configuration.

use std::sync::Arc;

use crate::{Config, ConfigError, Connector, address::Address};

pub(crate) fn connector(config: &Config, address: Address) -> Result<Arc<dyn Connector>, ConfigError> {
    match config.driver {
        #[cfg(feature = "redis")]
        crate::DriverKind::Redis => {
            Ok(Arc::new(crate::driver::redis_rs::connect::RedisRsConnector::new(config, address)?))
        }
        #[cfg(feature = "fred")]
        crate::DriverKind::Fred => {
            Ok(Arc::new(crate::driver::fred::connect::FredConnector::new(config, address)?))
        }
        #[allow(unreachable_patterns, reason = "every driver may be compiled in")]
        other => {
            drop(address);
            Err(ConfigError::DriverMissing { driver: other.as_str() })
        }
    }
}
