//! The settings, checked before the first connection.

use std::{fmt, str::FromStr, time::Duration};

use crate::{
    ConfigError,
    address::{Address, AddressError},
};

/// The Redis library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum DriverKind {
    /// redis-rs (cargo feature `redis`).
    #[default]
    Redis,
    /// fred (cargo feature `fred`).
    Fred,
}

impl DriverKind {
    /// Every driver, in declaration order.
    pub const ALL: [Self; 2] = [Self::Redis, Self::Fred];

    /// Returns the name, which is also the name of the cargo feature.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Fred => "fred",
        }
    }
}

impl fmt::Display for DriverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that names no [`DriverKind`]. The error lists the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be {}", DriverKind::ALL.map(DriverKind::as_str).join(" or "))]
pub struct UnknownDriver;

/// Parses the name of a driver.
///
/// ```
/// use picarcade_redis::DriverKind;
/// assert_eq!("fred".parse(), Ok(DriverKind::Fred));
/// assert_eq!("jedis".parse::<DriverKind>().unwrap_err().to_string(), "must be redis or fred");
/// ```
impl FromStr for DriverKind {
    type Err = UnknownDriver;

    fn from_str(name: &str) -> Result<Self, UnknownDriver> {
        Self::ALL.into_iter().find(|driver| driver.as_str() == name).ok_or(UnknownDriver)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for DriverKind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Reads certificates from their text.
#[cfg(feature = "serde")]
fn pem<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
    use serde::Deserialize as _;
    Ok(Option::<String>::deserialize(deserializer)?.map(String::into_bytes))
}

/// The settings of a [`RedisHandle`](crate::RedisHandle).
///
/// `Debug` never shows a password: URLs are reduced to their scheme and hosts.
///
/// With the feature `serde`, a configuration can be read from a file. All fields are optional,
/// unknown ones are errors, durations are texts, and `ca` is the PEM text itself. There is no
/// `Serialize`, because URLs contain passwords.
///
#[cfg_attr(feature = "serde", doc = "```")]
#[cfg_attr(not(feature = "serde"), doc = "```ignore")]
/// use std::time::Duration;
/// use picarcade_redis::{Config, DriverKind};
///
/// let json = r#"{"url": "rediss://cache:6379", "driver": "fred", "command_timeout": "250ms"}"#;
/// let config: Config = serde_json::from_str(json)?;
/// assert_eq!(config.driver, DriverKind::Fred);
/// assert_eq!(config.command_timeout, Duration::from_millis(250));
/// config.check()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Config {
    /// The primary, in one of the forms of [`Address`].
    pub url: String,
    /// A second, independent Redis that takes over while the primary is down.
    pub backup_url: Option<String>,
    /// The prefix of every key and every channel. Default `picarcade:`.
    pub prefix: String,
    /// The Redis library.
    pub driver: DriverKind,
    /// The timeout of one attempt to connect, TLS and authentication included. Default 2 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub connect_timeout: Duration,
    /// The timeout of one command. Default 1 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub command_timeout: Duration,
    /// PEM certificates to trust instead of the web roots.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "pem"))]
    pub ca: Option<Vec<u8>>,
    /// The maximum number of commands in flight. Further commands fail as overloaded. Default 8192.
    pub max_in_flight: usize,
    /// The longest key or channel, prefix included. Longer ones are rejected. Default 64 KiB, at
    /// most the limit of Redis: 512 MiB.
    pub max_key_bytes: usize,
    /// The longest value, script argument or message. Longer ones are rejected, because one of them
    /// would delay all others on the connection. Default 16 MiB, at most 512 MiB.
    pub max_value_bytes: usize,
    /// The number of consecutive failures after which an endpoint counts as down and its connection
    /// is replaced. Default 3.
    pub failure_threshold: u32,
    /// The interval of the probes of an endpoint, which are small writes. Default 1 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub probe_interval: Duration,
    /// How long a recovered primary must be healthy before traffic returns to it. Default 10 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub failback_grace: Duration,
    /// The number of invalidations that are stored for an absent endpoint. Beyond it, the keys
    /// under the prefix are purged when the endpoint is back, because the deleted keys are then
    /// unknown. Default 65536.
    pub journal_capacity: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379".into(),
            backup_url: None,
            prefix: "picarcade:".into(),
            driver: DriverKind::default(),
            connect_timeout: Duration::from_secs(2),
            command_timeout: Duration::from_secs(1),
            ca: None,
            max_in_flight: 8192,
            max_key_bytes: 64 << 10,
            max_value_bytes: 16 << 20,
            failure_threshold: 3,
            probe_interval: Duration::from_secs(1),
            failback_grace: Duration::from_secs(10),
            journal_capacity: 65_536,
        }
    }
}

impl Config {
    /// Returns the defaults with this primary.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// Checks the settings without connecting.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] for the first setting that can never work. It does not quote URLs.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.validate().map(drop)
    }

    /// Returns the addresses of the primary and the backup if all settings are in range.
    pub(crate) fn validate(&self) -> Result<(Address, Option<Address>), ConfigError> {
        self.validate_ranges()?;
        let primary = parse("url", &self.url)?;
        let backup = self.backup_url.as_deref().map(|url| parse("backup url", url)).transpose()?;
        if let Some(pem) = &self.ca {
            trusted(pem)?;
        }
        Ok((primary, backup))
    }

    /// Checks the settings other than URLs.
    pub(crate) fn validate_ranges(&self) -> Result<(), ConfigError> {
        const LONGER: &str = "longer than zero";
        const BYTES: &str = "from 1 byte to 512 MiB";
        const POSITIVE: &str = "at least 1";
        let sizes = 1..=512 << 20;
        let permits = 1..=tokio::sync::Semaphore::MAX_PERMITS;
        let ranges = [
            ("the redis connect timeout", LONGER, !self.connect_timeout.is_zero()),
            ("the redis command timeout", LONGER, !self.command_timeout.is_zero()),
            ("the redis probe interval", LONGER, !self.probe_interval.is_zero()),
            ("the redis in-flight limit", POSITIVE, permits.contains(&self.max_in_flight)),
            ("the redis key limit", BYTES, sizes.contains(&self.max_key_bytes)),
            ("the redis value limit", BYTES, sizes.contains(&self.max_value_bytes)),
            ("the redis failure threshold", POSITIVE, self.failure_threshold > 0),
        ];
        match ranges.into_iter().find(|(_, _, is_within)| !is_within) {
            Some((setting, expected, _)) => Err(ConfigError::Range { setting, expected }),
            None => Ok(()),
        }
    }
}

fn parse(setting: &'static str, url: &str) -> Result<Address, ConfigError> {
    Address::parse(url).map_err(|error| match error {
        AddressError::Scheme => ConfigError::Scheme { setting },
        AddressError::Malformed(problem) => ConfigError::Url { setting, problem },
    })
}

/// Returns the certificates of a CA bundle.
pub(crate) fn trusted(pem: &[u8]) -> Result<rustls::RootCertStore, ConfigError> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| ConfigError::Ca { problem: "not PEM".into() })?;
        roots.add(certificate).map_err(|_| ConfigError::Ca { problem: "not a CA certificate".into() })?;
    }
    if roots.is_empty() {
        return Err(ConfigError::Ca { problem: "no certificate in it".into() });
    }
    Ok(roots)
}

/// Returns a URL without its secrets.
struct Redacted<'a>(&'a str);

impl fmt::Debug for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Address::parse(self.0) {
            Ok(address) => address.fmt(f),
            Err(_) => f.write_str("<unusable URL>"),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("url", &Redacted(&self.url))
            .field("backup_url", &self.backup_url.as_deref().map(Redacted))
            .field("prefix", &self.prefix)
            .field("driver", &self.driver)
            .field("connect_timeout", &self.connect_timeout)
            .field("command_timeout", &self.command_timeout)
            .field("ca", &self.ca.is_some())
            .field("max_in_flight", &self.max_in_flight)
            .field("max_key_bytes", &self.max_key_bytes)
            .field("max_value_bytes", &self.max_value_bytes)
            .field("failure_threshold", &self.failure_threshold)
            .field("probe_interval", &self.probe_interval)
            .field("failback_grace", &self.failback_grace)
            .field("journal_capacity", &self.journal_capacity)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, DriverKind};
    use crate::ConfigError;
    use std::time::Duration;

    #[test]
    fn every_driver_is_parsed_from_its_name() {
        for driver in DriverKind::ALL {
            assert_eq!(driver.to_string().parse(), Ok(driver));
        }
    }

    #[test]
    fn mistakes_are_named_without_secrets() {
        let refused = |config: Config| config.validate().unwrap_err();
        assert_eq!(refused(Config::new("http://:hunter2@h")), ConfigError::Scheme { setting: "url" });
        let error = refused(Config { backup_url: Some("redis://:hunter2@h:x".into()), ..Config::default() });
        assert!(matches!(error, ConfigError::Url { setting: "backup url", .. }));
        assert!(!error.to_string().contains("hunter2") && !format!("{error:?}").contains("hunter2"));
        assert!(matches!(
            refused(Config { ca: Some(b"nonsense".to_vec()), ..Config::default() }),
            ConfigError::Ca { .. }
        ));
        let zero = Config { command_timeout: Duration::ZERO, ..Config::default() };
        assert!(matches!(refused(zero), ConfigError::Range { .. }));
    }

    #[test]
    fn debug_shows_hosts_and_no_password() {
        let shown = format!("{:?}", Config::new("rediss://me:hunter2@cache:7000"));
        assert!(shown.contains("cache") && !shown.contains("hunter2"), "{shown}");
        let unusable = format!("{:?}", Config::new("rediss//me:hunter2@cache:7000"));
        assert!(!unusable.contains("hunter2"), "{unusable}");
    }
}
