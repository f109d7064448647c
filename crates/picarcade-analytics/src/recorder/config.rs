//! The settings of a [`Recorder`](crate::Recorder) and their bounds.

use std::path::PathBuf;
use std::time::Duration;

use crate::{Error, Privacy};

/// The settings. The defaults fit a service instance; change single fields with struct update
/// syntax.
///
/// With the feature `serde`, the settings can be read from a file. All fields are optional, unknown
/// ones are errors, and durations are texts. `privacy` is a text of [`Privacy::parse`] other than
/// `hashed`, whose key is a secret: set it in the program. A `maintain_interval` of null means
/// never.
///
#[cfg_attr(feature = "serde", doc = "```")]
#[cfg_attr(not(feature = "serde"), doc = "```ignore")]
/// use std::time::Duration;
/// use picarcade_analytics::{Config, Privacy};
///
/// let json = r#"{"queue_rows": 10000, "flush_interval": "2s", "privacy": "truncated:40"}"#;
/// let config: Config = serde_json::from_str(json)?;
/// assert_eq!(config.flush_interval, Duration::from_secs(2));
/// assert_eq!(config.privacy, Privacy::Truncated(40));
/// config.validate()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Config {
    /// Maximum rows in memory, including rows in flight. From half of it on, rows are moved to the
    /// spool, if there is one.
    pub queue_rows: usize,
    /// Maximum bytes of those rows.
    pub queue_bytes: usize,
    /// Rows per batch. A batch is written when it has this many.
    pub batch_rows: usize,
    /// Bytes per batch.
    pub batch_bytes: usize,
    /// The maximum time that a row waits for its batch to fill.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub flush_interval: Duration,
    /// The directory for rows that the store cannot accept, and for rows that it rejects. Without
    /// it, a long outage of the store loses rows.
    pub spool_dir: Option<PathBuf>,
    /// Maximum bytes in the spool.
    pub spool_max_bytes: u64,
    /// Bytes per spool file. Disk space is released file by file.
    pub spool_segment_bytes: u64,
    /// Maximum bytes of the dead-letter file. A full file is renamed to `.old` and replaces the
    /// previous one.
    pub dead_letter_max_bytes: u64,
    /// What is stored of a prompt.
    pub privacy: Privacy,
    /// The timeout of one write to the store.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub write_timeout: Duration,
    /// The pause after the first failed write. It doubles up to `retry_max`, with jitter.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub retry_min: Duration,
    /// The maximum pause between attempts to write.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub retry_max: Duration,
    /// The interval of [`Store::maintain`](crate::Store::maintain); `None` for never.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub maintain_interval: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            queue_rows: 50_000,
            queue_bytes: 32 << 20,
            batch_rows: 1_000,
            batch_bytes: 4 << 20,
            flush_interval: Duration::from_millis(500),
            spool_dir: None,
            spool_max_bytes: 1 << 30,
            spool_segment_bytes: 16 << 20,
            dead_letter_max_bytes: 64 << 20,
            privacy: Privacy::Full,
            write_timeout: Duration::from_secs(10),
            retry_min: Duration::from_millis(200),
            retry_max: Duration::from_secs(30),
            maintain_interval: Some(Duration::from_secs(30)),
        }
    }
}

impl Config {
    /// Checks that the settings are consistent.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Config`] with the first inconsistent field.
    pub fn validate(&self) -> Result<(), Error> {
        let zero = [
            ("queue_rows", self.queue_rows == 0),
            ("queue_bytes", self.queue_bytes == 0),
            ("batch_rows", self.batch_rows == 0),
            ("batch_bytes", self.batch_bytes == 0),
            ("flush_interval", self.flush_interval.is_zero()),
            ("spool_max_bytes", self.spool_max_bytes == 0),
            ("spool_segment_bytes", self.spool_segment_bytes == 0),
            ("write_timeout", self.write_timeout.is_zero()),
            ("retry_min", self.retry_min.is_zero()),
            ("maintain_interval", self.maintain_interval.is_some_and(|interval| interval.is_zero())),
        ];
        if let Some((field, _)) = zero.into_iter().find(|(_, is_zero)| *is_zero) {
            return Err(Error::Config(format!("{field} must not be zero")));
        }
        if self.batch_rows > self.queue_rows {
            return Err(Error::Config("batch_rows must not exceed queue_rows".to_owned()));
        }
        if self.retry_min > self.retry_max {
            return Err(Error::Config("retry_min must not exceed retry_max".to_owned()));
        }
        Ok(())
    }

    /// Returns the nearest consistent settings, which [`Recorder::start`](crate::Recorder::start)
    /// uses.
    #[must_use]
    pub(crate) fn corrected(mut self) -> Self {
        let tick = Duration::from_millis(1);
        self.queue_rows = self.queue_rows.max(1);
        self.queue_bytes = self.queue_bytes.max(1);
        self.batch_rows = self.batch_rows.clamp(1, self.queue_rows);
        self.batch_bytes = self.batch_bytes.max(1);
        self.flush_interval = self.flush_interval.max(tick);
        self.spool_max_bytes = self.spool_max_bytes.max(1);
        self.spool_segment_bytes = self.spool_segment_bytes.max(1);
        self.write_timeout = self.write_timeout.max(tick);
        self.retry_min = self.retry_min.max(tick);
        self.retry_max = self.retry_max.max(self.retry_min);
        self.maintain_interval = self.maintain_interval.map(|interval| interval.max(tick));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_wrong_fields_are_named() {
        Config::default().validate().unwrap();
        let wrong = Config { batch_rows: 0, ..Config::default() };
        assert!(wrong.validate().unwrap_err().to_string().contains("batch_rows"));
        wrong.corrected().validate().unwrap();
        let wrong = Config { batch_rows: 10, queue_rows: 5, ..Config::default() };
        assert!(wrong.validate().unwrap_err().to_string().contains("queue_rows"));
        wrong.corrected().validate().unwrap();
    }
}
