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
    draining: Arc<AtomicBool>,
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
            draining: Arc::default(),
        }
    }

    /// Makes the service unready. Requests that still arrive are answered.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
