//! The state that the handlers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use metrics_exporter_prometheus::PrometheusHandle;
use picarcade_flow::FlowService;

use crate::http::identity::Identities;
use crate::http::shared_store::SharedStore;

/// The state behind the routes. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) flow: FlowService,
    pub(crate) identities: Arc<Identities>,
    pub(crate) shared_store: Option<Arc<dyn SharedStore>>,
    /// Whether every caller may read detailed health and metrics, without the admin token.
    pub(crate) public_operations: bool,
    /// The configuration without secrets: key, value, origin.
    pub(crate) settings: Arc<[(String, String, String)]>,
    pub(crate) metrics: PrometheusHandle,
    /// Whether the process is stopping.
    stopping: Arc<AtomicBool>,
    /// Whether the admin has drained the service.
    drained: Arc<AtomicBool>,
}

impl App {
    pub(crate) fn new(
        flow: FlowService,
        identities: Identities,
        shared_store: Option<Arc<dyn SharedStore>>,
        public_operations: bool,
        settings: Vec<(String, String, String)>,
        metrics: PrometheusHandle,
    ) -> Self {
        Self {
            flow,
            identities: Arc::new(identities),
            shared_store,
            public_operations,
            settings: settings.into(),
            metrics,
            stopping: Arc::default(),
            drained: Arc::default(),
        }
    }

    /// Makes the service unready for the rest of its life. Requests that still arrive are answered.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Makes the service unready, or ready again. Requests that arrive are answered in both states.
    /// Returns whether the state changed.
    pub(crate) fn set_drained(&self, drained: bool) -> bool {
        self.drained.swap(drained, Ordering::Relaxed) != drained
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Returns whether the service is unready, because it stops or the admin has drained it.
    pub(crate) fn is_draining(&self) -> bool {
        self.is_stopping() || self.drained.load(Ordering::Relaxed)
    }
}
