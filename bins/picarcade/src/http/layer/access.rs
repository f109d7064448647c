//! Who may use which routes: one layer for each kind of caller. A handler behind one of them cannot
//! forget the check.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::{HeaderMap, StatusCode};

use crate::http::app::App;
use crate::http::identity::ApiCall;
use crate::http::problem::Problem;
use crate::http::rate_limit;

/// Lets only the admin in. If no admin token is configured, the routes do not exist.
pub(crate) async fn admin_only(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    match app.identities.is_admin(request.headers()) {
        Some(true) => Ok(next.run(request).await),
        Some(false) => Err(Problem::unauthorized("the admin token is needed")),
        None => Err(Problem::not_found()),
    }
}

/// Lets operators in: the holder of the admin token, or every caller if the configuration says so
/// or the service listens on loopback and has no admin token.
pub(crate) async fn operators_only(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    match app.identities.is_admin(request.headers()) {
        Some(true) => Ok(next.run(request).await),
        _ if app.public_operations => Ok(next.run(request).await),
        Some(false) => Err(Problem::unauthorized("the admin token is needed")),
        None => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "this is for operators, and no admin token is configured",
        )),
    }
}

/// Checks the credentials of a request to a cold route of the API, and adds the caller's limits to
/// the response. The state includes the endpoint that the request is counted under.
pub(crate) async fn api(
    State((app, endpoint)): State<(App, &'static str)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let call = ApiCall::new(app.identities.check(request.headers()).await?, endpoint);
    request.extensions_mut().insert(call.clone());
    let response = next.run(request).await;
    Ok(with_limits(&app, &call, response).await)
}

/// Adds the caller's limits to the response to a request of the API that no route serves. A caller
/// without valid credentials gets the response without limits.
pub(crate) async fn unserved(app: &App, headers: &HeaderMap, problem: Problem) -> Response {
    match app.identities.check(headers).await {
        Ok(presented) => with_limits(app, &ApiCall::new(presented, "process"), problem.into_response()).await,
        Err(_) => problem.into_response(),
    }
}

async fn with_limits(app: &App, call: &ApiCall, mut response: Response) -> Response {
    if !rate_limit::is_written(response.headers())
        && let Some(report) = call.limits(&app.flow).await
    {
        rate_limit::write(response.headers_mut(), &report);
    }
    response
}
