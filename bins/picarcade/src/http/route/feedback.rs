//! `POST /api/v2/generations/{generation_id}/feedback`: what the type should have been.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use hyper::HeaderMap;
use picarcade_flow::{Feedback, FeedbackRecorded};

use crate::http::app::App;
use crate::http::body::{self, MAX_BODY, WithUser};
use crate::http::identity::ApiCall;
use crate::http::problem::Problem;

type Given = WithUser<Feedback>;

/// Records what the type of a generation should have been.
///
/// The last feedback of a generation counts.
#[utoipa::path(
    post,
    path = "/api/v2/generations/{generation_id}/feedback",
    operation_id = "giveFeedback",
    params(("generation_id" = String, Path, description = "From the answer to process")),
    request_body = Given,
    responses((status = 200, body = FeedbackRecorded), (status = 403), (status = 404)),
)]
pub(crate) async fn give(
    State(app): State<App>,
    Path(id): Path<String>,
    call: ApiCall,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<FeedbackRecorded>, Problem> {
    let read = body::read(&headers, body, MAX_BODY).await;
    let parsed = read.and_then(|bytes| body::parse_with_user::<Feedback>(&bytes));
    let user = parsed.as_ref().ok().and_then(|(_, user)| user.as_ref());
    let caller = call.caller(user)?;
    // A body that cannot be read counts as a request too.
    app.flow.check_report_limits(&caller).await?;
    Ok(Json(app.flow.record_feedback(&id, &caller, parsed?.0).await?))
}
