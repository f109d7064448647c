//! `picarcade serve`: binds, serves, and stops gracefully.
//!
//! On SIGTERM or SIGINT the service becomes unready, stops accepting, lets requests finish, writes its events and exits 0,
//! all within the configured deadline. A second signal ends it at once.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::ServeArguments;
use crate::command::{Failure, chain, reload};
use crate::config::{Config, ConfigError, Origin};
use crate::http::{self, App, Limits};
use crate::{telemetry, wiring};

/// How long Redis may be silent at start before the log says so.
const REDIS_PATIENCE: Duration = Duration::from_secs(3);

pub(crate) async fn run(arguments: ServeArguments) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    telemetry::start();
    let mut layers = Config::layers(arguments.config.config.as_deref())?;
    if let Some(listen) = arguments.listen {
        layers.set("listen", listen, Origin::Flag("--listen"));
    }
    let config = Config::parse(&layers)?;
    let listener = bind(&config.listen).await?;
    let address = listener.local_addr().map_err(|error| Failure::work(error.to_string()))?;
    config.check_exposure(address, arguments.insecure)?;
    let mut stop = Signals::new()?;
    let watched = reload::Watched::new(&config);
    let wired = wiring::wire(&config, wiring::Purpose::Service).await?;
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
    let identities = http::Identities::new(&config.identity).map_err(|error| Failure::work(chain(&error)))?;
    let metrics = http::install_metrics().map_err(|error| Failure::work(chain(&error)))?;
    let app =
        App::new(wired.flow.clone(), identities, wired.redis, public_operations, layers.shown(), metrics);
    let router = http::router(app.clone(), &config.cors_origins);
    let limits =
        Limits { connections: config.max_connections, per_address: config.max_connections_per_address };
    tracing::info!(%address, startup_ms = started.elapsed().as_millis() as u64, "listening");
    let stopping = async {
        stop.first().await;
        tracing::info!("stopping");
        app.drain();
    };
    http::run(listener, router, limits, config.shutdown_timeout, stopping).await;
    if let Some(membership) = wired.membership {
        membership.leave().await;
    }
    wired.flow.shutdown(config.shutdown_timeout).await;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

async fn bind(listen: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(listen).await.map_err(|error| {
        let reason = match error.kind() {
            std::io::ErrorKind::AddrInUse => "the address is in use".to_owned(),
            std::io::ErrorKind::PermissionDenied => "this needs more rights".to_owned(),
            _ => error.to_string(),
        };
        Failure::from(ConfigError::Together(format!(
            "PICARCADE_LISTEN or --listen: cannot listen on {listen}: {reason}"
        )))
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
