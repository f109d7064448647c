//! `GET /api/v2/usage`: the caller's limits.
//!
//! It takes nothing from them: a caller at a limit must be able to read which limit that is, and
//! the response costs as much as a refusal would, one look-up.

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::query::{UserQuery, named_user};
use crate::http::app::App;
use crate::http::identity::ApiCall;
use crate::http::problem::Problem;
use crate::http::rate_limit::LimitBody;

/// The limits of a caller.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Usage {
    limits: Vec<LimitBody>,
    /// Whether this instance decided by its own share, because the store was unavailable.
    local: bool,
    user_id: String,
}

/// Returns the caller's limits.
#[utoipa::path(
    get,
    path = "/api/v2/usage", operation_id = "getUsage",
    params(UserQuery),
    responses((status = 200, body = Usage), (status = 403)),
)]
pub(crate) async fn usage(
    State(app): State<App>,
    call: ApiCall,
    RawQuery(query): RawQuery,
) -> Result<Json<Usage>, Problem> {
    let caller = call.caller(named_user(query.as_deref())?.as_ref())?;
    let report = app.flow.usage(&caller).await?;
    let usage = Usage {
        limits: report.statuses.iter().map(LimitBody::new).collect(),
        local: report.local,
        user_id: caller.user.to_string(),
    };
    call.set_limits(report);
    Ok(Json(usage))
}
