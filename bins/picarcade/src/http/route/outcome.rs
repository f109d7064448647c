//! `POST /api/v2/generations/{generation_id}/outcome`: the outcome of a generation.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use hyper::HeaderMap;
use picarcade_flow::{OutcomeReport, Reported};

use crate::http::app::App;
use crate::http::body::{self, MAX_BODY, WithUser};
use crate::http::identity::ApiCall;
use crate::http::problem::Problem;

type Report = WithUser<OutcomeReport>;

/// Reports the outcome of a generation.
#[utoipa::path(
    post,
    path = "/api/v2/generations/{generation_id}/outcome",
    operation_id = "reportOutcome",
    params(("generation_id" = String, Path, description = "From the answer to process")),
    request_body = Report,
    responses((status = 200, body = Reported), (status = 403), (status = 404)),
)]
pub(crate) async fn report(
    State(app): State<App>,
    Path(id): Path<String>,
    call: ApiCall,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Reported>, Problem> {
    let read = body::read(&headers, body, MAX_BODY).await;
    let parsed = read.and_then(|bytes| body::parse_with_user::<OutcomeReport>(&bytes));
    let user = parsed.as_ref().ok().and_then(|(_, user)| user.as_ref());
    let caller = call.caller(user)?;
    // A body that cannot be read counts as a request too.
    app.flow.check_report_limits(&caller).await?;
    Ok(Json(app.flow.report_outcome(&id, &caller, parsed?.0).await?))
}
