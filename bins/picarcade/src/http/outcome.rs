//! `POST /api/v2/generations/{generation_id}/outcome`: what became of a generation.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use hyper::HeaderMap;
use picarcade_flow::OutcomeReport;

use crate::http::app::App;
use crate::http::body::{self, MAX_BODY};
use crate::http::limits;
use crate::http::problem::Problem;

pub(crate) async fn report(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let presented = app.identities.check(&headers).await?;
    let read = body::read(&headers, body, MAX_BODY).await;
    let (report, user): (OutcomeReport, _) = match read.and_then(|bytes| body::parse_with_user(&bytes)) {
        Ok(read) => read,
        Err(problem) => return limits::refused(&app, &headers, &presented, "outcome", problem).await,
    };
    let caller = presented.caller(&headers, user.as_deref(), "outcome")?;
    let reported = app.flow.report_outcome(&id, &caller, report).await;
    Ok(limits::told(&app, &caller, reported.map(Json).map_err(Problem::from)).await)
}
