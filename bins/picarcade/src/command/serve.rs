//! `picarcade serve`: binds, serves, and stops gracefully.
//!
//! On SIGTERM or SIGINT the service becomes unready and still serves every request for a moment, so
//! that load balancers notice. Then it stops accepting connections, lets requests finish, writes
//! its events and exits with 0. One configured deadline covers all of it, and a part of it is
//! reserved for the events. A second signal ends the process at once.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::ServeArguments;
use crate::command::{Failure, in_force, reload};
use crate::config::{Config, Origin};
use crate::http::{self, App, ConnectionLimits, Server, TrustedProxies};
use crate::telemetry::chain;
use crate::{telemetry, wiring};

/// File descriptors for everything but client connections: Redis, the database, the AI, files.
const OWN_FILES: u64 = 256;

/// The events get one part in this many of the shutdown timeout.
const FLUSH_SHARE: u32 = 4;

pub(crate) async fn run(arguments: ServeArguments) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    telemetry::start()?;
    #[cfg(feature = "otel")]
    let traces = telemetry::traces::Traces::start().map_err(Failure::usage)?;
    let mut layers = Config::layers(arguments.config.config.as_deref())?;
    if let Some(listen) = arguments.listen {
        layers.set("listen", listen, Origin::Flag("--listen"));
    }
    let config = Config::parse(layers)?;
    for warning in &config.layers.warnings {
        tracing::warn!(warning, "the configuration may have a mistake");
    }
    let listener = bind(&config).await?;
    let address = listener.local_addr().map_err(Failure::work)?;
    config.check_exposure(address, arguments.insecure)?;
    let mut stop = Signals::new()?;
    let watched = reload::Watched::new(&config);
    let wired = wiring::wire(&config, wiring::Purpose::Service)
        .await
        .map_err(|error| Failure::wiring(&config, &error))?;
    let config = Arc::new(config);
    reload::spawn(watched, Arc::clone(&config), wired.flow.clone(), wired.examples);
    // A proxy on this machine connects from loopback too, for any client.
    let is_local = address.ip().is_loopback() && config.trusted_proxies.is_empty();
    let is_open = is_local && config.identity.admin_token.is_none();
    let public_operations = config.public_operations || is_open;
    let identities =
        http::Identities::new(&config.identity, is_local).map_err(|error| Failure::work(chain(&error)))?;
    let metrics = telemetry::metrics::install().map_err(|error| Failure::work(chain(&error)))?;
    wiring::describe_metrics();
    let app = App::new(
        wired.flow.clone(),
        identities,
        wired.shared_store,
        public_operations,
        config.shown(),
        metrics,
    );
    http::set_access_log(config.access_log);
    let router = http::router(app.clone(), &config.cors_origins);
    let limits = ConnectionLimits {
        connections: descriptors(config.max_connections),
        per_address: config.max_connections_per_address,
    };
    in_force::log(&config, &wired.flow.rules());
    tracing::info!(%address, startup_ms = started.elapsed().as_millis() as u64, "listening");
    let mut deadline = None;
    let stopping = async {
        stop.first().await;
        let (begun, timeout) = (tokio::time::Instant::now(), config.shutdown_timeout);
        deadline = Some(begun + timeout);
        tracing::info!("stopping");
        app.stop();
        tokio::time::sleep(config.shutdown_delay.min(timeout / FLUSH_SHARE)).await;
        begun + timeout / FLUSH_SHARE * (FLUSH_SHARE - 1)
    };
    let ranges = config.trusted_proxies.clone();
    let proxies = (!ranges.is_empty()).then(|| TrustedProxies::new(ranges));
    Server::new(app.clone(), router, limits, proxies).run(listener, stopping).await;
    let deadline = deadline.unwrap_or_else(|| tokio::time::Instant::now() + config.shutdown_timeout);
    let left = || deadline.saturating_duration_since(tokio::time::Instant::now());
    if let Some(membership) = wired.membership {
        // A Redis that hangs must not use up the time of the events.
        let _ = tokio::time::timeout(left() / 2, membership.leave()).await;
    }
    #[cfg(feature = "otel")]
    tokio::join!(wired.flow.shutdown(left()), traces.finish(left()));
    #[cfg(not(feature = "otel"))]
    wired.flow.shutdown(left()).await;
    telemetry::report_suppressed();
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Returns how many connections the limit of open files allows, at most `wanted`. Raises the limit
/// as far as the system permits.
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
        Failure::usage(format!("{}: cannot listen on {listen}: {reason}", config.layers.setting("listen")))
    })
}

/// The signals SIGTERM and SIGINT.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(Failure::work);
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Waits for the first signal. The next one ends the process.
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
