//! `GET /api/v2/usage`: the caller's limits.
//!
//! It takes nothing from them: a caller at a limit must be able to read which limit that is, and
//! the response costs as much as a refusal would, one look-up.

use axum::Json;
use axum::extract::{RawQuery, State};
use serde_json::{Value, json};

use super::query::named_user;
use crate::http::app::App;
use crate::http::identity::ApiCall;
use crate::http::problem::Problem;
use crate::http::rate_limit;

pub(crate) async fn usage(
    State(app): State<App>,
    call: ApiCall,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Problem> {
    let caller = call.caller(named_user(query.as_deref())?.as_ref())?;
    let report = app.flow.usage(&caller).await?;
    let body = json!({
        "user_id": caller.user,
        "limits": report.statuses.iter().map(rate_limit::status_json).collect::<Vec<_>>(),
        "local": report.local,
    });
    call.set_limits(report);
    Ok(Json(body))
}
