//! Two endpoints, the choice between them, and the tasks that keep both connected.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use crate::{
    Cause, Config, Error, Role,
    routing::{connection::Live, endpoint::Endpoint, failover::Failover},
};

/// The first and the longest pause between two attempts to connect.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

#[derive(Debug)]
pub(crate) struct Router {
    pub(crate) config: Config,
    primary: Endpoint,
    backup: Option<Endpoint>,
    failover: Mutex<Failover>,
    /// The active connection, and how often it changed. Subscriptions watch it.
    serving: watch::Sender<Serving>,
    /// Why no endpoint will be available until the configuration changes.
    fatal: watch::Sender<Option<Error>>,
    epochs: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Serving {
    pub(crate) role: Role,
    /// The epoch of the connection; 0 without one.
    pub(crate) epoch: u64,
    pub(crate) generation: u64,
}

impl Router {
    pub(crate) fn new(config: Config, primary: Endpoint, backup: Option<Endpoint>) -> Self {
        Self {
            failover: Mutex::new(Failover::new(config.failback_grace)),
            serving: watch::Sender::new(Serving { role: Role::Primary, epoch: 0, generation: 0 }),
            fatal: watch::Sender::new(None),
            epochs: AtomicU64::new(0),
            config,
            primary,
            backup,
        }
    }

    /// Returns the endpoint of a role; without a backup, the primary.
    pub(crate) fn endpoint(&self, role: Role) -> &Endpoint {
        match role {
            Role::Primary => &self.primary,
            Role::Backup => self.backup.as_ref().unwrap_or(&self.primary),
        }
    }

    pub(crate) fn has_backup(&self) -> bool {
        self.backup.is_some()
    }

    pub(crate) fn serving(&self) -> Serving {
        *self.serving.borrow()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Serving> {
        self.serving.subscribe()
    }

    pub(crate) fn fatal(&self) -> watch::Receiver<Option<Error>> {
        self.fatal.subscribe()
    }

    /// Returns the active connection, or the reason why there is none.
    pub(crate) fn active(&self) -> Result<(Role, Arc<Live>), Error> {
        let role = self.serving.borrow().role;
        let endpoint = self.endpoint(role);
        endpoint.live().map(|live| (role, live)).ok_or_else(|| endpoint.reason())
    }

    /// Records the outcome of a command and moves traffic if necessary.
    pub(crate) fn report(&self, role: Role, live: &Arc<Live>, failure: Option<&Error>) {
        if self.endpoint(role).report(live, failure) {
            log_loss(role, failure.map(Error::cause));
            self.reconsider();
        }
    }

    /// Chooses the active endpoint again.
    fn reconsider(&self) {
        // The lock covers the choice and its publication, so that two choices cannot be published
        // in the wrong order.
        let mut failover = self.failover.lock();
        let backup_up = self.backup.as_ref().is_some_and(Endpoint::is_up);
        // At the start the backup may connect first, which does not make it active.
        let primary_up = self.primary.is_up() || !self.primary.was_tried();
        let role = failover.observe(Instant::now(), primary_up, backup_up);
        let epoch = self.endpoint(role).live().map_or(0, |live| live.epoch);
        self.serving.send_if_modified(|serving| {
            if serving.role == role && serving.epoch == epoch {
                return false;
            }
            if serving.role != role {
                tracing::warn!(from = serving.role.as_str(), to = role.as_str(), "redis traffic moves");
            }
            *serving = Serving { role, epoch, generation: serving.generation + 1 };
            true
        });
        let fatal = self.verdict();
        self.fatal.send_if_modified(|current| {
            let changed = *current != fatal;
            *current = fatal;
            changed
        });
    }

    /// Returns what must change in the configuration; `None` while waiting may be enough.
    fn verdict(&self) -> Option<Error> {
        let verdict = |endpoint: &Endpoint| {
            Some(endpoint.reason()).filter(|error| endpoint.live().is_none() && !error.is_transient())
        };
        let primary = verdict(&self.primary)?;
        match &self.backup {
            Some(backup) => verdict(backup).map(|_| primary),
            None => Some(primary),
        }
    }

    /// Keeps one endpoint connected while the handle lives.
    pub(crate) async fn supervise(self: Arc<Self>, role: Role) {
        let endpoint = self.endpoint(role);
        let mut pause = BACKOFF.0;
        let mut outage = Outage { since: Instant::now(), logged: None };
        loop {
            let epoch = self.epochs.fetch_add(1, Ordering::Relaxed) + 1;
            if let Err(cause) = endpoint.establish(&self.config, epoch).await {
                outage.log(role, cause);
                self.reconsider();
                // Jitter prevents a fleet from reconnecting in step to a restarted server.
                sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
                pause = (pause * 2).min(BACKOFF.1);
                continue;
            }
            outage.log_end(role);
            pause = BACKOFF.0;
            self.reconsider();
            let mut round = epoch;
            while endpoint.live().is_some() {
                // Woken early or by the clock: both start a check.
                let _ = timeout(self.config.probe_interval, endpoint.wake.notified()).await;
                round += 1;
                if endpoint.check(&self.config, round).await {
                    log_loss(role, endpoint.cause());
                }
                self.reconsider();
            }
            outage = Outage { since: Instant::now(), logged: endpoint.cause() };
        }
    }
}

/// The time without a connection, for the log: one line for each cause and one for the end.
struct Outage {
    since: Instant,
    /// The cause that the log has.
    logged: Option<Cause>,
}

impl Outage {
    fn log(&mut self, role: Role, cause: Cause) {
        if self.logged.replace(cause) == Some(cause) {
            return;
        }
        let endpoint = role.as_str();
        tracing::warn!(endpoint, cause = %cause, kind = cause.as_str(), "redis cannot be used");
    }

    fn log_end(&self, role: Role) {
        let endpoint = role.as_str();
        if self.logged.is_some() {
            let seconds = self.since.elapsed().as_secs_f64();
            tracing::info!(endpoint, outage_seconds = seconds, "redis is available again");
        } else {
            tracing::info!(endpoint, "redis connected");
        }
    }
}

fn log_loss(role: Role, cause: Option<Cause>) {
    let sentence = cause.map(Cause::sentence);
    let kind = cause.map(Cause::as_str);
    tracing::warn!(endpoint = role.as_str(), cause = sentence, kind, "redis connection given up");
}
