//! The routes.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::middleware::from_fn;
use axum::routing::{delete, get, post};
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, Method, StatusCode, Uri};
use picarcade_flow::{Classified, Response};
use tower_http::cors::CorsLayer;

use crate::http::app::App;
use crate::http::layer::stack;
use crate::http::problem::Problem;
use crate::http::rate_limit;
use crate::http::route::{admin, batch, catalog, metrics, openapi, outcome, probes, process, sessions};

/// How long a browser may remember what it is allowed to.
const MAX_AGE: Duration = Duration::from_secs(600);

/// Every route of the service over this state, for pages of these origins.
pub(crate) fn router(app: App, origins: &[HeaderValue]) -> Router {
    let router = routes();
    let router = if origins.is_empty() { router } else { router.layer(cors(origins)) };
    router.layer(from_fn(stack::layer)).with_state(app)
}

fn cors(origins: &[HeaderValue]) -> CorsLayer {
    let header = HeaderName::from_static;
    CorsLayer::new()
        .allow_origin(origins.to_vec())
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([
            AUTHORIZATION,
            CACHE_CONTROL,
            CONTENT_TYPE,
            header("x-api-key"),
            header("x-user-id"),
            header("x-request-id"),
            header("traceparent"),
        ])
        .expose_headers([
            RETRY_AFTER,
            header("ratelimit"),
            header("ratelimit-policy"),
            header("x-request-id"),
        ])
        .max_age(MAX_AGE)
}

fn routes() -> Router<App> {
    Router::new()
        .route("/api/v2/process", post(process::answer::<Response>))
        .route("/api/v2/classify-only", post(process::answer::<Classified>))
        .route("/api/v2/models/available", get(catalog::models))
        .route("/api/v2/decision-matrix", get(catalog::matrix))
        .route("/api/v2/stats", get(catalog::stats))
        .route("/api/v2/usage", get(catalog::usage))
        .route("/api/v2/batch", post(batch::batch))
        .route("/api/v2/generations/{generation_id}/outcome", post(outcome::report))
        .route("/api/v2/sessions/{id}", get(sessions::show).put(sessions::put).delete(sessions::delete))
        .route("/admin/breakers", get(admin::breakers))
        .route("/admin/breakers/{name}/{action}", post(admin::override_breaker))
        .route("/admin/cache/invalidate", post(admin::invalidate))
        .route("/admin/users/{user_id}", delete(admin::forget_user))
        .route("/admin/config", get(admin::config))
        .route("/health", get(probes::health))
        .route("/health/", get(probes::health))
        .route("/health/live", get(probes::live))
        .route("/health/ready", get(probes::ready))
        .route("/health/detailed", get(probes::detailed))
        .route("/health/cache", get(probes::cache))
        .route("/metrics", get(metrics::metrics))
        .route("/openapi.json", get(openapi::openapi))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
}

async fn no_route(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Problem {
    unserved(&app, &uri, &headers, Problem::not_found()).await
}

async fn no_method(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Problem {
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "the method is not allowed here");
    unserved(&app, &uri, &headers, problem).await
}

/// Answers a request that no handler serves. The answer tells a known caller the limits, like every
/// other answer of the API.
async fn unserved(app: &App, uri: &Uri, headers: &HeaderMap, problem: Problem) -> Problem {
    if !uri.path().starts_with("/api/") {
        return problem;
    }
    match app.identities.check(headers).await {
        Ok(presented) => rate_limit::with_limits(app, headers, &presented, "process", problem).await,
        Err(_) => problem,
    }
}
