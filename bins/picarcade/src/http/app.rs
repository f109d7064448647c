//! What the handlers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use metrics_exporter_prometheus::PrometheusHandle;
use picarcade_flow::FlowService;
use picarcade_redis::RedisHandle;

use crate::http::identity::Identities;

/// The state behind the routes. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) flow: FlowService,
    pub(crate) identities: Arc<Identities>,
    pub(crate) redis: Option<RedisHandle>,
    /// Detailed health is for anybody, not only for the holder of the admin token.
    pub(crate) public_operations: bool,
    /// The configuration as it may be shown: key, value, origin.
    pub(crate) settings: Arc<[(String, String, String)]>,
    pub(crate) metrics: PrometheusHandle,
    draining: Arc<AtomicBool>,
}

impl App {
    pub(crate) fn new(
        flow: FlowService,
        identities: Identities,
        redis: Option<RedisHandle>,
        public_operations: bool,
        settings: Vec<(String, String, String)>,
        metrics: PrometheusHandle,
    ) -> Self {
        Self {
            flow,
            identities: Arc::new(identities),
            redis,
            public_operations,
            settings: settings.into(),
            metrics,
            draining: Arc::default(),
        }
    }

    /// From now on the service is not ready; requests that come all the same are still answered.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
