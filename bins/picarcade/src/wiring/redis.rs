//! Redis: the connection, and its state as the flow asks for it.

use std::time::Duration;

use picarcade_flow::RemoteWatch;
use picarcade_redis::{DriverKind, RedisHandle, Role};

use super::error::WiringError;
use crate::config::RedisSettings;

pub(super) fn connect(settings: &RedisSettings) -> Result<RedisHandle, WiringError> {
    let config = picarcade_redis::Config {
        backup_url: settings.backup_url.clone(),
        prefix: settings.prefix.clone(),
        driver: if settings.fred { DriverKind::Fred } else { DriverKind::Redis },
        ..picarcade_redis::Config::new(&settings.url)
    };
    RedisHandle::connect(config).map_err(WiringError::Redis)
}

/// Tells the flow whether Redis can be reached.
#[derive(Debug)]
pub(super) struct Watch(pub(super) RedisHandle);

impl RemoteWatch for Watch {
    fn is_up(&self) -> bool {
        self.0.status().connected
    }

    fn latency(&self) -> Option<Duration> {
        self.0.status().latency_ms.map(|latency| Duration::from_secs_f64(latency / 1e3))
    }

    fn last_error(&self) -> Option<String> {
        self.0.status().last_error.map(str::to_owned)
    }

    fn is_on_backup(&self) -> bool {
        self.0.status().active == Role::Backup
    }
}
