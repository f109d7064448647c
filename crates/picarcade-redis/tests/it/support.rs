//! Fixtures: settings that detect faults quickly, and waiting with a limit.

use std::time::Duration;

use picarcade_redis::{Config, DriverKind, RedisHandle};
pub use picarcade_testkit::eventually;

pub const SECOND: Duration = Duration::from_secs(1);

/// Runs each test with every driver.
macro_rules! with_every_driver {
    ($($test:ident),* $(,)?) => {
        #[cfg(feature = "redis")]
        mod redis_rs {
            $(#[tokio::test]
            async fn $test() {
                super::$test(picarcade_redis::DriverKind::Redis).await;
            })*
        }

        #[cfg(feature = "fred")]
        mod fred {
            $(#[tokio::test]
            async fn $test() {
                super::$test(picarcade_redis::DriverKind::Fred).await;
            })*
        }
    };
}
pub(crate) use with_every_driver;

/// Returns settings that detect faults quickly. The timeouts are long enough for a busy machine.
pub fn config(driver: DriverKind, url: impl Into<String>) -> Config {
    Config {
        driver,
        connect_timeout: SECOND * 3,
        command_timeout: SECOND * 3,
        probe_interval: Duration::from_millis(50),
        failback_grace: Duration::from_millis(500),
        ..Config::new(url)
    }
}

pub async fn ready(config: Config) -> RedisHandle {
    let handle = RedisHandle::connect(config).unwrap();
    handle.ready(SECOND * 120).await.unwrap();
    handle
}

/// Returns the output of a future. Panics if there is none for two minutes.
pub async fn within<T>(coming: impl Future<Output = T>) -> T {
    tokio::time::timeout(SECOND * 120, coming).await.expect("nothing came within two minutes")
}
