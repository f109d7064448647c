//! A fleet within one process, for tests and for several breakers of one service.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::view::{Ballot, FleetError, FleetView, VoteCount};

/// A [`FleetView`] in memory, on the clock of tokio. Never fails. Its size is bounded by its
/// instances: the next vote removes expired ballots.
#[derive(Debug, Default)]
pub struct MemoryFleetView {
    breakers: Mutex<HashMap<String, Votes>>,
}

#[derive(Debug, Default)]
struct Votes {
    ballots: HashMap<String, (Ballot, Instant)>,
    lease: Option<(String, Instant)>,
}

impl MemoryFleetView {
    /// Creates an empty view.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with<R>(&self, breaker: &str, f: impl FnOnce(&mut Votes, Instant) -> R) -> R {
        let now = Instant::now();
        let mut breakers = self.breakers.lock();
        let votes = breakers.entry(breaker.to_owned()).or_default();
        votes.ballots.retain(|_, (_, expires)| now < *expires);
        if votes.lease.as_ref().is_some_and(|(_, expires)| now >= *expires) {
            votes.lease = None;
        }
        f(votes, now)
    }
}

#[async_trait]
impl FleetView for MemoryFleetView {
    async fn vote(
        &self,
        breaker: &str,
        instance: &str,
        ballot: Ballot,
        ttl: Duration,
    ) -> Result<VoteCount, FleetError> {
        Ok(self.with(breaker, |votes, now| {
            votes.ballots.insert(instance.to_owned(), (ballot, now + ttl));
            let count = |what| votes.ballots.values().filter(|(ballot, _)| *ballot == what).count() as u64;
            VoteCount {
                instances: votes.ballots.len() as u64,
                open: count(Ballot::Open),
                recovered: count(Ballot::Recovered),
            }
        }))
    }

    async fn elect(&self, breaker: &str, instance: &str, lease: Duration) -> Result<bool, FleetError> {
        Ok(self.with(breaker, |votes, now| {
            let (holder, _) = votes.lease.get_or_insert_with(|| (instance.to_owned(), now + lease));
            holder == instance
        }))
    }

    async fn leave(&self, breaker: &str, instance: &str) -> Result<(), FleetError> {
        self.with(breaker, |votes, _| {
            votes.ballots.remove(instance);
            votes.lease.take_if(|(holder, _)| holder == instance);
        });
        Ok(())
    }
}
