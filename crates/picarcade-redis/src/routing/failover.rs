//! The choice of the active endpoint, without a clock, a lock or a socket.
//!
//! Traffic leaves the primary at once and returns only after the primary has been up for a grace
//! period. A flapping primary would otherwise move all caches back and forth, and every move is a
//! cold start.

use std::time::Duration;

use tokio::time::Instant;

/// One of the two endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The configured `url`.
    Primary,
    /// The configured `backup_url`.
    Backup,
}

impl Role {
    /// `primary` or `backup`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Backup => "backup",
        }
    }

    /// Returns the other endpoint.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Primary => Self::Backup,
            Self::Backup => Self::Primary,
        }
    }
}

/// The choice and its state.
#[derive(Debug)]
pub(crate) struct Failover {
    active: Role,
    primary_up_since: Option<Instant>,
    grace: Duration,
}

impl Failover {
    pub(crate) fn new(grace: Duration) -> Self {
        Self { active: Role::Primary, primary_up_since: None, grace }
    }

    /// Returns the active endpoint, given which endpoints are up at `now`. If none is up, nothing
    /// changes.
    pub(crate) fn observe(&mut self, now: Instant, primary_up: bool, backup_up: bool) -> Role {
        self.primary_up_since = match (primary_up, self.primary_up_since) {
            (false, _) => None,
            (true, None) => Some(now),
            (true, since) => since,
        };
        let settled = self.primary_up_since.is_some_and(|since| now.duration_since(since) >= self.grace);
        self.active = match self.active {
            Role::Primary if !primary_up && backup_up => Role::Backup,
            Role::Backup if primary_up && (settled || !backup_up) => Role::Primary,
            unchanged => unchanged,
        };
        self.active
    }
}

#[cfg(test)]
mod tests {
    use super::{Failover, Role};
    use proptest::prelude::*;
    use std::time::Duration;
    use tokio::time::Instant;

    const GRACE: Duration = Duration::from_secs(10);

    proptest! {
        /// Compares with the rule applied to the whole history instead of a stored instant.
        #[test]
        fn follows_the_rule(steps in proptest::collection::vec((0_u64..6, any::<bool>(), any::<bool>()), 1..60)) {
            let start = Instant::now();
            let mut failover = Failover::new(GRACE);
            let mut history: Vec<(u64, bool)> = Vec::new();
            let (mut at, mut active) = (0, Role::Primary);
            for (wait, primary, backup) in steps {
                at += wait;
                history.push((at, primary));
                let run: Vec<_> = history.iter().rev().take_while(|(_, up)| *up).collect();
                let up_for = run.last().map_or(0, |(first, _)| at - first);
                active = match (active, primary, backup) {
                    (Role::Primary, false, true) => Role::Backup,
                    (Role::Backup, true, false) => Role::Primary,
                    (Role::Backup, true, true) if up_for >= GRACE.as_secs() => Role::Primary,
                    _ => active,
                };
                prop_assert_eq!(failover.observe(start + Duration::from_secs(at), primary, backup), active);
            }
        }
    }

    #[test]
    fn a_flapping_primary_does_not_take_traffic_back() {
        let start = Instant::now();
        let mut failover = Failover::new(GRACE);
        for second in 0..100 {
            let up = second % 5 != 0;
            failover.observe(start + Duration::from_secs(second), up, true);
        }
        assert_eq!(failover.observe(start + Duration::from_secs(101), true, true), Role::Backup);
    }
}
