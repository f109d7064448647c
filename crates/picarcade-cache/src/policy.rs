//! The numbers of one cache: how long values live, how long callers wait, how much is stored.

use std::time::Duration;

use crate::{ConfigError, level2::remote::REPLAY_WINDOW};

/// The maximum lifetime of an entry.
pub(crate) const MAX_LIFETIME: Duration = Duration::from_secs(2_592_000);

/// The lifetime of a tag's version. It exceeds the lifetime of any entry, so that no entry outlives
/// the version that invalidated it.
pub(crate) const VERSION_LIFETIME: Duration = Duration::from_secs(2_678_400);

/// The settings of a cache. The setters of [`Builder`](crate::Builder) document each.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub(crate) ttl: Duration,
    pub(crate) negative_ttl: Duration,
    pub(crate) stale_for: Duration,
    pub(crate) hold_off: Duration,
    pub(crate) jitter: f64,
    pub(crate) max_bytes: u64,
    pub(crate) max_entry_bytes: usize,
    pub(crate) soft_timeout: Duration,
    pub(crate) hard_timeout: Duration,
    pub(crate) load_limit: Duration,
    pub(crate) max_in_flight: usize,
    pub(crate) max_queued: usize,
    pub(crate) max_waiters: usize,
    pub(crate) beta: f64,
    pub(crate) compress_above: usize,
    /// `None`: loads take no leases.
    pub(crate) lease: Option<Duration>,
    pub(crate) lease_wait: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(3600),
            negative_ttl: Duration::from_secs(60),
            stale_for: Duration::from_secs(3600),
            hold_off: Duration::from_secs(10),
            jitter: 0.05,
            max_bytes: 64 << 20,
            max_entry_bytes: 1 << 20,
            soft_timeout: Duration::from_millis(200),
            hard_timeout: Duration::from_secs(30),
            load_limit: Duration::from_secs(60),
            max_in_flight: 256,
            max_queued: 4096,
            max_waiters: 10_000,
            beta: 0.0,
            compress_above: 4096,
            lease: Some(Duration::from_secs(2)),
            lease_wait: Duration::from_secs(15),
        }
    }
}

impl Policy {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let range = |good: bool, setting, expected| {
            if good { Ok(()) } else { Err(ConfigError::Range { setting, expected }) }
        };
        range(!self.ttl.is_zero(), "ttl", "longer than zero")?;
        range(!self.negative_ttl.is_zero(), "negative_ttl", "longer than zero")?;
        range((0.0..=0.5).contains(&self.jitter), "jitter", "from 0 to 0.5")?;
        range(self.beta.is_finite() && (0.0..=100.0).contains(&self.beta), "refresh_ahead", "from 0 to 100")?;
        range(!self.hard_timeout.is_zero(), "hard_timeout", "longer than zero")?;
        range(self.load_limit >= self.hard_timeout, "load_limit", "at least hard_timeout")?;
        range(self.max_bytes > 0, "max_bytes", "at least 1")?;
        range(self.max_entry_bytes > 0, "max_entry_bytes", "at least 1")?;
        let permits = 1..=tokio::sync::Semaphore::MAX_PERMITS;
        range(permits.contains(&self.max_in_flight), "max_in_flight", "at least 1")?;
        range(self.max_waiters > 0, "max_waiters", "at least 1")?;
        let lease = self.lease.is_none_or(|ttl| ttl >= Duration::from_millis(100));
        range(lease, "lease", "at least 100 ms")
    }

    /// Returns how long an instance waits for the load of another instance, so that its own load
    /// has time left.
    pub(crate) fn lease_wait_limit(&self) -> Duration {
        self.lease_wait.min(self.hard_timeout / 2)
    }

    /// Returns the time to live of a value that was loaded now. `random` is uniform in 0..1.
    pub(crate) fn fresh_for(&self, own: Option<Duration>, negative: bool, random: f64) -> Duration {
        let base = own.unwrap_or(if negative { self.negative_ttl } else { self.ttl });
        // Values that were loaded in one burst must not expire in one burst.
        base.mul_f64(1.0 + self.jitter * (2.0 * random - 1.0))
    }

    /// Returns how long a tombstone lasts: longer than the longest load and longer than a write may
    /// wait for the second level. No write from before the removal can then arrive after it.
    pub(crate) fn tombstone_lifetime(&self) -> Duration {
        self.write_limit() + REPLAY_WINDOW + Duration::from_secs(15)
    }

    /// Returns how long after its start a load may write to the second level. A process that was
    /// stopped for longer must not write, because the tombstone that would reject its value may be
    /// gone.
    pub(crate) fn write_limit(&self) -> Duration {
        self.load_limit + self.lease_wait + Duration::from_secs(15)
    }
}

#[cfg(test)]
mod tests {
    use super::Policy;
    use proptest::prelude::*;
    use std::time::Duration;

    proptest! {
        #[test]
        fn jitter_stays_within_its_share(random in 0.0_f64..1.0, jitter in 0.0_f64..0.5, ttl in 1_u64..100_000) {
            let policy = Policy { jitter, ..Policy::default() };
            let ttl = Duration::from_secs(ttl);
            let fresh = policy.fresh_for(Some(ttl), false, random).as_secs_f64() / ttl.as_secs_f64();
            prop_assert!(fresh >= 1.0 - jitter - 1e-6 && fresh <= 1.0 + jitter + 1e-6);
        }
    }
}
