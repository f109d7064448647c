//! Reloads the decision matrix and the model catalogue while the service runs: on SIGHUP, and when
//! a file changes.
//!
//! The two are read together and replaced as one. If a file is wrong, the old rules stay in force;
//! the log gives the reason once for each change, and health reports it until the file is fixed.
//! The hashes of both files are part of the cache keys, so no answer made under the old rules is
//! served under the new ones.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use picarcade_flow::FlowService;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::telemetry::chain;
use crate::wiring;

/// How often the files are checked for changes.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// The files, and their state when they were last read.
pub(crate) struct Watched {
    files: Vec<PathBuf>,
    seen: Vec<Option<Stamp>>,
}

/// The modification time, the length and the inode of a file. The inode is needed because a
/// replacement may have the same time and length.
type Stamp = (SystemTime, u64, u64);

impl Watched {
    /// Records the state of the files. Call it before the files are first read, so that no later
    /// change is missed.
    pub(crate) fn new(config: &Config) -> Self {
        let files: Vec<PathBuf> = config.rules.iter().chain(&config.models).cloned().collect();
        Self { seen: stamps(&files), files }
    }
}

/// Watches the files until the process ends. Without configured files SIGHUP changes nothing; in
/// particular it does not end the process.
pub(crate) fn spawn(watched: Watched, config: Arc<Config>, flow: FlowService) {
    let Watched { files, mut seen } = watched;
    tokio::spawn(async move {
        let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
        let mut tick = tokio::time::interval(POLL_INTERVAL);
        loop {
            let requested = tokio::select! {
                _ = hangup.recv() => true,
                _ = tick.tick() => false,
            };
            let now = stamps(&files);
            if requested || now != seen {
                seen = now;
                reload(&config, &flow);
            }
        }
    });
}

fn reload(config: &Config, flow: &FlowService) {
    match wiring::rules_with_encoder(config) {
        Ok(rules) => {
            tracing::info!(
                matrix = rules.matrix.version(),
                catalogue = rules.catalogue.version(),
                "rules reloaded"
            );
            flow.replace_rules(rules);
        }
        Err(error) => {
            tracing::warn!(error = chain(&error), "rules could not be reloaded; the old ones stay in force");
            flow.refuse_rules();
        }
    }
}

/// Returns the state of each file; `None` for a file that does not exist.
fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    let stamp = |file: &PathBuf| {
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
    };
    files.iter().map(stamp).collect()
}
