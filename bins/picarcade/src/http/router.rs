//! The routes: which handlers answer, and behind which access layer. The path and the description
//! of a route are at its handler.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, Method, StatusCode, Uri};
use tower_http::cors::CorsLayer;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use crate::http::app::App;
use crate::http::description::{self, Callers, describe};
use crate::http::layer::access;
use crate::http::layer::stack::stack;
use crate::http::problem::Problem;
use crate::http::route::{
    admin, batch, catalog, feedback, metrics, openapi, outcome, probes, process, root, sessions, stats, usage,
};

/// How long a browser may cache the answer to a preflight request.
const MAX_AGE: Duration = Duration::from_secs(600);

/// Returns every route of the service over this state, for pages of these origins.
pub(crate) fn router(app: App, origins: &[HeaderValue]) -> Router {
    let admin_only = from_fn_with_state(app.clone(), access::admin_only);
    let operators_only = from_fn_with_state(app.clone(), access::operators_only);
    let document = openapi::Document::default();
    let (router, collected) = OpenApiRouter::with_openapi(description::empty())
        .merge(describe(hot(), Callers::Api))
        .merge(describe(cold(&app), Callers::Api))
        .nest("/admin", describe(admin(), Callers::Admin).route_layer(admin_only))
        .merge(describe(operations(), Callers::Operators).route_layer(operators_only))
        .merge(describe(public(&document), Callers::All))
        .split_for_parts();
    document.set(description::render(collected));
    let router = router.fallback(no_route).method_not_allowed_fallback(no_method);
    let router = if origins.is_empty() { router } else { router.layer(cors(origins)) };
    router.layer(from_fn(stack)).with_state(app)
}

/// The hot routes of the API, which check their callers themselves (see `route/process.rs`).
fn hot() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(process::process)).routes(routes!(process::classify_only))
}

/// The cold routes of the API, each with the endpoint that its requests are counted under.
fn cold(app: &App) -> OpenApiRouter<App> {
    ColdRoutes { app, router: OpenApiRouter::default() }
        .add("batch", routes!(batch::batch))
        .add("outcome", routes!(outcome::report))
        .add("feedback", routes!(feedback::give))
        .add("sessions", routes!(sessions::show, sessions::put, sessions::delete))
        .add("models", routes!(catalog::models))
        .add("decision-matrix", routes!(catalog::matrix))
        .add("stats", routes!(stats::stats))
        .add("process", routes!(usage::usage))
        .router
}

/// Cold routes. A route can only be added together with the access layer of the API.
struct ColdRoutes<'a> {
    app: &'a App,
    router: OpenApiRouter<App>,
}

impl ColdRoutes<'_> {
    fn add(mut self, endpoint: &'static str, routes: UtoipaMethodRouter<App>) -> Self {
        let access = from_fn_with_state((self.app.clone(), endpoint), access::api);
        self.router = self.router.routes(routes.map(|handlers| handlers.route_layer(access)));
        self
    }
}

/// The routes below `/admin`.
fn admin() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(admin::breakers))
        .routes(routes!(admin::override_breaker))
        .routes(routes!(admin::invalidate))
        .routes(routes!(admin::forget_user))
        .routes(routes!(admin::config))
        .routes(routes!(admin::drain))
        .routes(routes!(admin::undrain))
}

/// The routes for operators.
fn operations() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(probes::detailed))
        .routes(routes!(probes::cache))
        .routes(routes!(metrics::metrics))
}

/// The routes for every client.
fn public(document: &openapi::Document) -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(root::root))
        .routes(routes!(probes::health))
        .routes(routes!(probes::health_slash))
        .routes(routes!(probes::live))
        .routes(routes!(probes::ready))
        .routes(routes!(openapi::openapi).with_state(document.clone()))
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
