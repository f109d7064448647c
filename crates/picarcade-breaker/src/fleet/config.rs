//! The settings of a fleet member.

use std::{sync::Arc, time::Duration};

use crate::{ConfigError, validate::within};

/// The settings of a fleet member.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetConfig {
    /// The name of this instance, unique in the fleet.
    pub instance: Arc<str>,
    /// How often the member votes and reads the votes. Default 1 s; from 10 ms to 1 min. The open
    /// time of a breaker should be several times longer. Otherwise the breaker probes before the
    /// member has read the votes.
    pub interval: Duration,
    /// The share of instances that must be open for the others to open. Default 0.5, in (0, 1].
    pub quorum: f64,
    /// The minimum number of open instances for a quorum. Default 2, at least 2: a single instance
    /// may have a problem of its own.
    pub quorum_minimum: u64,
    /// How long an elected instance may probe. Default 30 s; at least three intervals, at most 1 h.
    pub lease: Duration,
    /// How long a breaker is kept from probing beyond its own open time at most. Default 2 min, at
    /// most 1 h.
    pub hold_max: Duration,
}

impl FleetConfig {
    /// Returns the defaults for an instance with this name.
    #[must_use]
    pub fn new(instance: impl Into<Arc<str>>) -> Self {
        Self {
            instance: instance.into(),
            interval: Duration::from_secs(1),
            quorum: 0.5,
            quorum_minimum: 2,
            lease: Duration::from_secs(30),
            hold_max: Duration::from_secs(120),
        }
    }

    /// Returns when a ballot that is not renewed expires: three lost votes are tolerated.
    pub(super) fn ballot_ttl(&self) -> Duration {
        self.interval * 4
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let hour = Duration::from_secs(3600);
        let intervals = Duration::from_millis(10)..=Duration::from_secs(60);
        within("instance", !self.instance.is_empty(), "a name")?;
        within("interval", intervals.contains(&self.interval), "between 10 milliseconds and 1 minute")?;
        within("quorum", self.quorum > 0.0 && self.quorum <= 1.0, "above 0 and at most 1")?;
        within("quorum_minimum", self.quorum_minimum >= 2, "at least 2")?;
        within("hold_max", self.hold_max <= hour, "at most 1 hour")?;
        within("lease", self.lease <= hour, "at most 1 hour")?;
        if self.lease < self.interval * 3 {
            let reason = "a lease would end before its holder has looked";
            return Err(ConfigError::Contradiction { field: "lease", other: "interval", reason });
        }
        Ok(())
    }
}
