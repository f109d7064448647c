//! The right to load a key for all instances.
//!
//! A lease only saves money: two holders make two loads, never a wrong value.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::{Key, RemoteError, level2::second_level::SecondLevel, statistics::Counters};

/// A lease on a key, held by this instance.
pub(crate) struct Lease<'a> {
    second: &'a SecondLevel,
    key: Key,
    token: u64,
    ttl: Duration,
}

impl<'a> Lease<'a> {
    /// Takes the lease if it is free.
    pub(crate) async fn take(
        second: &'a SecondLevel,
        key: Key,
        ttl: Duration,
    ) -> Result<Option<Self>, RemoteError> {
        let token = fastrand::u64(..);
        let taken = second.remote.acquire(&second.space, &key, token, ttl).await?;
        Ok(taken.then_some(Self { second, key, token, ttl }))
    }

    /// Renews the lease while this future is polled, until the lease is lost or `longest` has
    /// passed, because no instance waits longer for the load. A lost lease changes nothing: another
    /// instance may then load too.
    pub(crate) async fn renew(&self, counters: &Counters, longest: Duration) {
        let Self { second, key, token, ttl } = self;
        let end = Instant::now() + longest;
        let mut ticks = interval_at(Instant::now() + *ttl / 3, *ttl / 3);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while ticks.tick().await < end {
            match timeout(*ttl, second.remote.renew(&second.space, key, *token, *ttl)).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => return,
                Ok(Err(_)) | Err(_) => counters.remote_errors.one(),
            }
        }
    }

    /// Gives the lease back, so that waiting instances do not wait for its end.
    pub(crate) async fn give_back(self, counters: &Counters) {
        if self.second.remote.release(&self.second.space, &self.key, self.token).await.is_err() {
            counters.remote_errors.one();
        }
    }
}
