//! Examples that a thread prepares while the service runs.
//!
//! The encoder needs milliseconds for each example, so thousands take up to a minute. Until then
//! the service answers with the examples before them.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use picarcade_flow::FlowService;
use picarcade_intent::examples::{ExampleList, Examples};
use tokio::task::JoinHandle;

use crate::wiring;

/// The preparation of the newest examples.
#[derive(Default)]
pub(super) struct Teaching {
    running: Option<Running>,
}

/// A running preparation, which ends early when this is dropped.
struct Running {
    version: String,
    started: Instant,
    is_abandoned: Arc<AtomicBool>,
    result: JoinHandle<Option<Arc<Examples>>>,
}

impl Teaching {
    /// Prepares these examples, unless they are in force or already being prepared. Examples that
    /// are being prepared and are not these are abandoned.
    pub(super) fn begin(&mut self, list: Option<ExampleList>, flow: &FlowService) {
        let in_force = flow.rules();
        let in_force = in_force.examples().map(|examples| examples.version());
        let Some(list) = list.filter(|list| in_force != Some(list.version())) else {
            self.running = None;
            return;
        };
        if self.running.as_ref().is_some_and(|running| running.version == list.version()) {
            return;
        }
        let is_abandoned = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_abandoned);
        self.running = Some(Running {
            version: list.version().to_owned(),
            started: Instant::now(),
            is_abandoned,
            // One thread leaves the other cores to requests.
            result: tokio::task::spawn_blocking(move || {
                wiring::teach(&list, NonZeroUsize::MIN, || !flag.load(Ordering::Relaxed))
            }),
        });
    }

    /// Waits until the examples are prepared, and replaces those in force. Never returns if none
    /// are being prepared. The future is safe to drop.
    pub(super) async fn finish(&mut self, flow: &FlowService) {
        let Some(running) = &mut self.running else { return std::future::pending().await };
        let result = (&mut running.result).await;
        let seconds = running.started.elapsed().as_secs_f64();
        self.running = None;
        if let Ok(Some(examples)) = result {
            tracing::info!(
                number = examples.len(),
                version = examples.version(),
                seconds,
                "examples in force"
            );
            flow.replace_examples(examples);
        } else {
            tracing::error!("examples could not be prepared; the old ones stay in force");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.is_abandoned.store(true, Ordering::Relaxed);
    }
}
