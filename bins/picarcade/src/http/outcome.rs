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
    let parsed = read.and_then(|bytes| body::parse_with_user::<OutcomeReport>(&bytes));
    let user = parsed.as_ref().ok().and_then(|(_, user)| user.as_deref());
    let caller = presented.caller(&headers, user, "outcome")?;
    let reported = async {
        // A body that cannot be read counts as a request too.
        app.flow.check_report_limits(&caller).await?;
        Ok::<_, Problem>(Json(app.flow.report_outcome(&id, &caller, parsed?.0).await?))
    };
    let reported = reported.await;
    Ok(limits::told(&app, &caller, reported).await)
}
