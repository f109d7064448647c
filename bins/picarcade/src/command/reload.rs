//! Reloads the decision matrix, the model catalogue and the examples while the service runs: on
//! SIGHUP, and when a file changes.
//!
//! The files are read and checked together. If one is wrong, the old rules and the old examples
//! stay in force; the log gives the reason once for each change, and health reports it until the
//! file is fixed. Matrix and catalogue are replaced as one, and the examples as soon as they are
//! prepared. The hashes of the files are part of the cache keys, so no answer made under the old
//! rules is served under the new ones.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use picarcade_flow::FlowService;
use picarcade_intent::examples::ExampleList;
use tokio::signal::unix::{SignalKind, signal};

use crate::command::teaching::Teaching;
use crate::config::Config;
use crate::telemetry::chain;
use crate::wiring::{self, Loaded};

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
        let files: Vec<PathBuf> =
            [&config.rules, &config.models, &config.examples].into_iter().flatten().cloned().collect();
        Self { seen: stamps(&files), files }
    }
}

/// Watches the files until the process ends. Without configured files SIGHUP changes nothing; in
/// particular it does not end the process. Prepares `examples` first.
pub(crate) fn spawn(watched: Watched, config: Arc<Config>, flow: FlowService, examples: Option<ExampleList>) {
    let Watched { files, mut seen } = watched;
    tokio::spawn(async move {
        let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
        let mut tick = tokio::time::interval(POLL_INTERVAL);
        let mut teaching = Teaching::default();
        teaching.begin(examples, &flow);
        loop {
            let requested = tokio::select! {
                _ = hangup.recv() => true,
                _ = tick.tick() => false,
                () = teaching.finish(&flow) => continue,
            };
            let now = stamps(&files);
            if requested || now != seen {
                seen = now;
                reload(&config, &flow, &mut teaching).await;
            }
        }
    });
}

async fn reload(config: &Arc<Config>, flow: &FlowService, teaching: &mut Teaching) {
    let config = Arc::clone(config);
    // Thousands of examples take longer than a thread of the runtime may be held up.
    let loaded = tokio::task::spawn_blocking(move || wiring::load(&config)).await;
    let Ok(loaded) = loaded else { return };
    match loaded {
        Ok(Loaded { rules, examples }) => {
            tracing::info!(
                matrix = rules.matrix.version(),
                catalogue = rules.catalogue.version(),
                "rules reloaded"
            );
            let in_force = flow.rules().examples().cloned();
            flow.replace_rules(rules.with_examples(in_force));
            teaching.begin(examples, flow);
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
