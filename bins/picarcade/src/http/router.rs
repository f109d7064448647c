//! The routes: which path is answered by which handler, and behind which access layer.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, Method, StatusCode, Uri};
use tower_http::cors::CorsLayer;

use crate::http::app::App;
use crate::http::layer::access;
use crate::http::layer::stack::stack;
use crate::http::problem::Problem;
use crate::http::route::{
    admin, batch, catalog, metrics, openapi, outcome, probes, process, sessions, stats, usage,
};

/// How long a browser may cache the answer to a preflight request.
const MAX_AGE: Duration = Duration::from_secs(600);

/// Returns every route of the service over this state, for pages of these origins.
pub(crate) fn router(app: App, origins: &[HeaderValue]) -> Router {
    let admin_only = from_fn_with_state(app.clone(), access::admin_only);
    let operators_only = from_fn_with_state(app.clone(), access::operators_only);
    let router = Router::new()
        .merge(hot())
        .merge(cold(&app))
        .nest("/admin", admin().route_layer(admin_only))
        .merge(operations().route_layer(operators_only))
        .merge(public())
        .fallback(no_route)
        .method_not_allowed_fallback(no_method);
    let router = if origins.is_empty() { router } else { router.layer(cors(origins)) };
    router.layer(from_fn(stack)).with_state(app)
}

/// The hot routes of the API, which check their callers themselves (see `route/process.rs`).
fn hot() -> Router<App> {
    Router::new()
        .route("/api/v2/process", post(process::process))
        .route("/api/v2/classify-only", post(process::classify_only))
}

/// The cold routes of the API, each with the endpoint that its requests are counted under.
fn cold(app: &App) -> Router<App> {
    let session = get(sessions::show).put(sessions::put).delete(sessions::delete);
    ColdRoutes { app, router: Router::new() }
        .route("/api/v2/batch", "batch", post(batch::batch))
        .route("/api/v2/generations/{generation_id}/outcome", "outcome", post(outcome::report))
        .route("/api/v2/sessions/{id}", "sessions", session)
        .route("/api/v2/models/available", "models", get(catalog::models))
        .route("/api/v2/decision-matrix", "decision-matrix", get(catalog::matrix))
        .route("/api/v2/stats", "stats", get(stats::stats))
        .route("/api/v2/usage", "process", get(usage::usage))
        .router
}

/// Cold routes. A route can only be added together with the access layer of the API.
struct ColdRoutes<'a> {
    app: &'a App,
    router: Router<App>,
}

impl ColdRoutes<'_> {
    fn route(mut self, path: &str, endpoint: &'static str, handlers: MethodRouter<App>) -> Self {
        let access = from_fn_with_state((self.app.clone(), endpoint), access::api);
        self.router = self.router.route(path, handlers.route_layer(access));
        self
    }
}

/// The routes below `/admin`.
fn admin() -> Router<App> {
    Router::new()
        .route("/breakers", get(admin::breakers))
        .route("/breakers/{name}/{action}", post(admin::override_breaker))
        .route("/cache/invalidate", post(admin::invalidate))
        .route("/users/{user_id}", delete(admin::forget_user))
        .route("/config", get(admin::config))
}

/// The routes for operators.
fn operations() -> Router<App> {
    Router::new()
        .route("/health/detailed", get(probes::detailed))
        .route("/health/cache", get(probes::cache))
        .route("/metrics", get(metrics::metrics))
}

/// The routes for every client.
fn public() -> Router<App> {
    Router::new()
        .route("/health", get(probes::health))
        .route("/health/", get(probes::health))
        .route("/health/live", get(probes::live))
        .route("/health/ready", get(probes::ready))
        .route("/openapi.json", get(openapi::openapi))
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

async fn no_route(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Response {
    unserved(&app, &uri, &headers, Problem::not_found()).await
}

async fn no_method(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Response {
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "the method is not allowed here");
    unserved(&app, &uri, &headers, problem).await
}

/// Answers a request that no handler serves. If the path is one of the API, the response has the
/// caller's limits, like every other response of the API.
async fn unserved(app: &App, uri: &Uri, headers: &HeaderMap, problem: Problem) -> Response {
    if uri.path().starts_with("/api/") {
        access::unserved(app, headers, problem).await
    } else {
        problem.into_response()
    }
}
