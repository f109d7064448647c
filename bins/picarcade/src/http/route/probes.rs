//! The probes. None of them makes a call to another service; `detailed` and `cache` report what
//! background checks found.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use picarcade_cache::CacheStatistics;
use picarcade_flow::{ComponentHealth, HealthStatus, HealthSummary};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::app::App;
use crate::http::json::sorted;
use crate::http::problem::Problem;
use crate::http::shared_store::StoreStatus;

/// The health of the process.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    service: &'static str,
    /// Always `healthy`.
    #[schema(schema_with = healthy)]
    status: &'static str,
    #[schema(format = DateTime)]
    timestamp: String,
    version: &'static str,
}

fn healthy() -> utoipa::openapi::Object {
    // A constant and not a word of a list: generators would name such a list like the schema of the
    // states of a component.
    let text = utoipa::openapi::Object::with_type(utoipa::openapi::Type::String);
    picarcade_flow::openapi::with_keyword(text, "const", "healthy".into())
}

/// Returns that the service answers.
#[utoipa::path(get, path = "/health", operation_id = "getHealth", responses((status = 200, body = Health)))]
pub(crate) async fn health() -> Json<Health> {
    Json(Health {
        service: env!("CARGO_PKG_NAME"),
        status: "healthy",
        timestamp: Timestamp::now().to_string(),
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// Returns that the service answers.
#[utoipa::path(
    get,
    path = "/health/",
    responses((status = 200, body = Health)),
)]
pub(crate) async fn health_slash() -> Json<Health> {
    health().await
}

/// The proof that the process runs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Live {
    alive: bool,
}

/// Returns that the process runs.
#[utoipa::path(get, path = "/health/live", operation_id = "getLiveness", responses((status = 200, body = inline(Live))))]
pub(crate) async fn live() -> Json<Live> {
    Json(Live { alive: true })
}

/// The proof that the service is ready.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ready {
    ready: bool,
}

/// Returns whether the service has started and is neither stopping nor drained.
#[utoipa::path(
    get,
    path = "/health/ready", operation_id = "getReadiness",
    responses((status = 200, body = inline(Ready)), (status = 503, description = "The service is stopping or drained")),
)]
pub(crate) async fn ready(State(app): State<App>) -> Result<Json<Ready>, Problem> {
    if app.is_draining() && !app.is_stopping() {
        return Err(Problem::unavailable("the service is drained", Duration::from_secs(1)));
    }
    if app.is_stopping() {
        return Err(Problem::unavailable("the service is stopping", Duration::from_secs(1)));
    }
    Ok(Json(Ready { ready: true }))
}

/// The health of every component.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DetailedHealth {
    #[schema(value_type = HealthComponents)]
    #[serde(serialize_with = "sorted")]
    components: BTreeMap<&'static str, ComponentHealth>,
    /// Whether the service is stopping or drained.
    draining: bool,
    /// The worst state of a component.
    overall: HealthStatus,
    /// The components, counted by state.
    #[serde(serialize_with = "sorted")]
    summary: HealthSummary,
    #[schema(format = DateTime)]
    timestamp: String,
}

/// The components.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its description is used")]
struct HealthComponents {
    cache: ComponentHealth,
    circuit_breakers: ComponentHealth,
    database: ComponentHealth,
    flow: ComponentHealth,
    rate_limiter: ComponentHealth,
}

/// Returns the state of every component, from background checks.
#[utoipa::path(
    get,
    path = "/health/detailed",
    operation_id = "getDetailedHealth",
    responses((status = 200, body = DetailedHealth)),
)]
pub(crate) async fn detailed(State(app): State<App>) -> Json<DetailedHealth> {
    let health = app.flow.health();
    Json(DetailedHealth {
        components: health.components,
        draining: app.is_draining(),
        overall: health.overall,
        summary: health.summary,
        timestamp: Timestamp::now().to_string(),
    })
}

/// The caches and Redis.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CacheHealth {
    #[serde(serialize_with = "sorted")]
    levels: Vec<CacheLevel>,
    redis: RedisHealth,
}

/// One cache: its counters, and the hits of both levels together.
#[derive(Debug, Serialize, ToSchema)]
struct CacheLevel {
    #[serde(flatten)]
    #[schema(inline)]
    statistics: CacheStatistics,
    /// The hits of both levels.
    hits: u64,
}

/// The state of Redis.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum RedisHealth {
    /// No Redis is configured.
    Absent {
        /// Always false.
        configured: bool,
        /// Always false.
        connected: bool,
    },
    /// The connection.
    Configured(StoreStatus),
}

/// Returns the state of every cache and of Redis.
#[utoipa::path(
    get,
    path = "/health/cache",
    operation_id = "getCacheHealth",
    responses((status = 200, body = CacheHealth)),
)]
pub(crate) async fn cache(State(app): State<App>) -> Json<CacheHealth> {
    let redis = match &app.shared_store {
        None => RedisHealth::Absent { configured: false, connected: false },
        Some(store) => RedisHealth::Configured(store.status()),
    };
    let levels = app.flow.caches().statistics().into_iter();
    let levels =
        levels.map(|statistics| CacheLevel { hits: statistics.hits_l1 + statistics.hits_l2, statistics });
    Json(CacheHealth { levels: levels.collect(), redis })
}
