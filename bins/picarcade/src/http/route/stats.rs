//! `GET /api/v2/stats`: statistics of all requests in a period.

use axum::Json;
use axum::extract::{RawQuery, State};
use picarcade_analytics::Period;
use picarcade_flow::openapi::words;
use picarcade_flow::{FieldProblem, StatsAnswer};
use serde::Deserialize;
use utoipa::openapi::Object;

use super::query;
use crate::http::app::App;
use crate::http::identity::Admitted;
use crate::http::problem::Problem;

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct StatsQuery {
    /// How far back the statistics look.
    #[param(schema_with = periods)]
    period: Option<String>,
}

fn periods() -> Object {
    let mut periods = words(Period::ALL.map(Period::as_str));
    periods.description = Some("How far back the statistics look".to_owned());
    periods.default = Some(Period::default().as_str().into());
    periods
}

/// Returns the statistics of a period.
#[utoipa::path(get, path = "/api/v2/stats", operation_id = "getStats", params(StatsQuery), responses((status = 200, body = StatsAnswer)))]
pub(crate) async fn stats(
    State(app): State<App>,
    _: Admitted,
    RawQuery(query): RawQuery,
) -> Result<Json<StatsAnswer>, Problem> {
    let period = period(query.as_deref())?;
    Ok(Json(app.flow.stats(period).await?))
}

fn period(query: Option<&str>) -> Result<Period, Problem> {
    let wrong = |_| Problem::fields(vec![FieldProblem::new("/period", "must be 1h, 24h or 7d")]);
    match query::parse::<StatsQuery>(query)?.period.as_deref() {
        None => Ok(Period::default()),
        Some(word) => word.parse().map_err(wrong),
    }
}
