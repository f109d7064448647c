//! Puts a changed decision matrix or model catalogue in force while the service runs: on SIGHUP, and when a file changes.
//!
//! The two are read together and swapped as one. A file that is wrong keeps the old rules in force and says why, in the
//! log once for each change and in health until it is mended. Their hashes are part of the cache keys, so no answer made
//! under the old rules is served under the new ones.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use picarcade_flow::FlowService;
use tokio::signal::unix::{SignalKind, signal};

use crate::command::chain;
use crate::config::Config;
use crate::wiring;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// The files, as they were when they were last read.
pub(crate) struct Watched {
    files: Vec<PathBuf>,
    seen: Vec<Option<Stamp>>,
}

/// When a file was last changed, how long it is, and which file it is: one that replaces it may be as long and as old.
type Stamp = (SystemTime, u64, u64);

impl Watched {
    /// To be called before the files are first read, so that no change after that is missed.
    pub(crate) fn new(config: &Config) -> Self {
        let files: Vec<PathBuf> = config.rules.iter().chain(&config.models).cloned().collect();
        Self { seen: stamps(&files), files }
    }
}

/// Watches until the process ends. Without configured files a SIGHUP changes nothing, and above all does not end the process.
pub(crate) fn spawn(watched: Watched, config: Arc<Config>, flow: FlowService) {
    let Watched { files, mut seen } = watched;
    tokio::spawn(async move {
        let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
        let mut tick = tokio::time::interval(LOOK);
        loop {
            let told = tokio::select! {
                _ = hangup.recv() => true,
                _ = tick.tick() => false,
            };
            let now = stamps(&files);
            if told || now != seen {
                seen = now;
                reload(&config, &flow);
            }
        }
    });
}

fn reload(config: &Config, flow: &FlowService) {
    match wiring::rules(config) {
        Ok(rules) => {
            tracing::info!(
                matrix = rules.matrix.version(),
                catalogue = rules.catalogue.version(),
                "rules reloaded"
            );
            flow.replace_rules(rules);
        }
        Err(error) => {
            tracing::warn!(error = chain(&error), "the rules are wrong; the old ones stay in force");
            flow.refuse_rules();
        }
    }
}

/// A file that is gone has none.
fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    let stamp = |file: &PathBuf| {
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
    };
    files.iter().map(stamp).collect()
}
