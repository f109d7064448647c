//! `GET /api/v2/stats`: statistics of all requests in a period.

use axum::Json;
use axum::extract::{RawQuery, State};
use picarcade_analytics::Period;
use picarcade_flow::{FieldProblem, StatsAnswer};
use serde::Deserialize;

use super::query;
use crate::http::app::App;
use crate::http::identity::Admitted;
use crate::http::problem::Problem;

#[derive(Debug, Default, Deserialize)]
struct StatsQuery {
    period: Option<String>,
}

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
        None => Ok(Period::Day),
        Some(word) => word.parse().map_err(wrong),
    }
}
