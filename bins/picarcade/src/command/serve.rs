//! `picarcade serve`: binds, serves, and stops gracefully.
//!
//! On SIGTERM or SIGINT the service becomes unready, and for a moment still serves everybody, so that load balancers can see
//! it; then it stops accepting, lets requests finish, writes its events and exits 0, all within one configured deadline, of
//! which a part is kept for the events. A second signal ends it at once.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::ServeArguments;
use crate::command::{Failure, chain, reload};
use crate::config::{Config, Origin};
use crate::http::{self, App, ConnectionLimits, Server};
use crate::{telemetry, wiring};

/// File descriptors that are not connections of clients: Redis, the database, the AI, files.
const OWN_FILES: u64 = 256;

/// The part of the shutdown timeout that is kept for writing events.
const FLUSH_SHARE: u32 = 4;

/// How long Redis may be silent at start before the log says so.
const REDIS_PATIENCE: Duration = Duration::from_secs(3);

pub(crate) async fn run(arguments: ServeArguments) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    telemetry::start();
    #[cfg(feature = "otel")]
    let traces = telemetry::traces::Traces::start()?;
    let mut layers = Config::layers(arguments.config.config.as_deref())?;
    if let Some(listen) = arguments.listen {
        layers.set("listen", listen, Origin::Flag("--listen"));
    }
    let config = Config::parse(&layers)?;
    let listener = bind(&config).await?;
    let address = listener.local_addr().map_err(|error| Failure::work(error.to_string()))?;
    config.check_exposure(address, arguments.insecure)?;
    let mut stop = Signals::new()?;
    let watched = reload::Watched::new(&config);
    let wired = wiring::wire(&config, wiring::Purpose::Service)
        .await
        .map_err(|error| Failure::wiring(&config, &error))?;
    let config = Arc::new(config);
    reload::spawn(watched, Arc::clone(&config), wired.flow.clone());
    if let Some(redis) = wired.redis.clone() {
        tokio::spawn(async move {
            if redis.ready(REDIS_PATIENCE).await.is_err() {
                tracing::warn!(
                    "redis does not answer; each instance caches and limits for itself until it does"
                );
            }
        });
    }
    let public_operations = config.public_operations || address.ip().is_loopback();
    let identities = http::Identities::new(&config.identity, address.ip().is_loopback())
        .map_err(|error| Failure::work(chain(&error)))?;
    let metrics = http::install_metrics().map_err(|error| Failure::work(chain(&error)))?;
    let app =
        App::new(wired.flow.clone(), identities, wired.redis, public_operations, layers.shown(), metrics);
    let router = http::router(app.clone(), &config.cors_origins);
    let limits = ConnectionLimits {
        connections: descriptors(config.max_connections),
        per_address: config.max_connections_per_address,
    };
    tracing::info!(%address, startup_ms = started.elapsed().as_millis() as u64, "listening");
    let mut deadline = None;
    let stopping = async {
        stop.first().await;
        let (begun, timeout) = (tokio::time::Instant::now(), config.shutdown_timeout);
        deadline = Some(begun + timeout);
        tracing::info!("stopping");
        app.drain();
        tokio::time::sleep(config.shutdown_delay.min(timeout / FLUSH_SHARE)).await;
        begun + timeout / FLUSH_SHARE * (FLUSH_SHARE - 1)
    };
    Server::new(app.clone(), router, limits).run(listener, stopping).await;
    let deadline = deadline.unwrap_or_else(|| tokio::time::Instant::now() + config.shutdown_timeout);
    let left = || deadline.saturating_duration_since(tokio::time::Instant::now());
    if let Some(membership) = wired.membership {
        // A Redis that hangs must not take the time of the events.
        let _ = tokio::time::timeout(left() / 2, membership.leave()).await;
    }
    #[cfg(feature = "otel")]
    tokio::join!(wired.flow.shutdown(left()), traces.finish(left()));
    #[cfg(not(feature = "otel"))]
    wired.flow.shutdown(left()).await;
    telemetry::finish();
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// How many connections there may be with the descriptors that the system gives; it is asked for as many as it allows.
fn descriptors(wanted: usize) -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return wanted };
    let raised = setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    let room = if raised { hard } else { soft }.saturating_sub(OWN_FILES).max(1);
    if room < wanted as u64 {
        tracing::warn!(wanted, room, "the system's limit of open files allows fewer connections");
    }
    wanted.min(usize::try_from(room).unwrap_or(wanted))
}

async fn bind(config: &Config) -> Result<TcpListener, Failure> {
    let listen = &config.listen;
    TcpListener::bind(listen).await.map_err(|error| {
        let reason = match error.kind() {
            std::io::ErrorKind::AddrInUse => "the address is in use".to_owned(),
            std::io::ErrorKind::PermissionDenied => "this needs more rights".to_owned(),
            _ => error.to_string(),
        };
        Failure::usage(format!("{}: cannot listen on {listen}: {reason}", config.setting("listen")))
    })
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::work(error.to_string()));
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Waits for the first signal; from then on the next one ends the process.
    async fn first(&mut self) {
        self.next().await;
        if let Ok(mut second) = Self::new() {
            tokio::spawn(async move {
                second.next().await;
                tracing::warn!("a second signal: stopping at once");
                std::process::exit(1);
            });
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
