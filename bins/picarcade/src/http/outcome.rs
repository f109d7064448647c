//! `POST /api/v2/generations/{generation_id}/outcome`: what became of a generation.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use hyper::HeaderMap;
use picarcade_flow::{OutcomeReport, Reported};

use crate::http::app::App;
use crate::http::body::{self, MAX_BODY};
use crate::http::problem::Problem;

pub(crate) async fn report(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Reported>, Problem> {
    let presented = app.identities.check(&headers).await?;
    let bytes = body::read(&headers, body, MAX_BODY).await?;
    let (report, user): (OutcomeReport, _) = body::parse_with_user(&bytes)?;
    let caller = presented.caller(&headers, user.as_deref(), "outcome")?;
    Ok(Json(app.flow.report_outcome(&id, &caller, report).await?))
}
