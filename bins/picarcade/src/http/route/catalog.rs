//! The routes that only read: models, matrix, statistics, usage.
//!
//! Each takes one request from the caller's limits, except `usage`: a caller at its limit must be
//! able to read which limit that is, and the answer costs what a refusal would, one look-up.

use axum::Json;
use axum::extract::{Query, RawQuery, State};
use axum::response::{IntoResponse, Response};
use hyper::HeaderMap;
use picarcade_analytics::Period;
use picarcade_flow::{Caller, FieldProblem};
use serde::Deserialize;
use serde_json::json;

use crate::http::app::App;
use crate::http::identity::is_usable;
use crate::http::problem::Problem;
use crate::http::rate_limit;

pub(crate) async fn models(State(app): State<App>, headers: HeaderMap) -> Result<Response, Problem> {
    let caller = asking(&app, &headers, "models").await?;
    let body = async {
        let models = app.flow.models();
        let available = models.iter().filter(|model| model.available).count();
        Ok(Json(json!({ "models": models, "total": models.len(), "available": available })))
    };
    Ok(rate_limit::limited(&app, &caller, body).await)
}

pub(crate) async fn matrix(State(app): State<App>, headers: HeaderMap) -> Result<Response, Problem> {
    let caller = asking(&app, &headers, "decision-matrix").await?;
    let body = async {
        let rules = app.flow.rules();
        Ok(Json(json!({
            "version": rules.matrix.version(),
            "rows": rules.matrix.rows(),
            "catalogue_version": rules.catalogue.version(),
        })))
    };
    Ok(rate_limit::limited(&app, &caller, body).await)
}

/// Returns who asks for this endpoint, as far as the header fields name the caller.
async fn asking(app: &App, headers: &HeaderMap, endpoint: &'static str) -> Result<Caller, Problem> {
    app.identities.check(headers).await?.caller(headers, None, endpoint)
}

#[derive(Debug, Default, Deserialize)]
struct StatsQuery {
    period: Option<String>,
}

pub(crate) async fn stats(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = asking(&app, &headers, "stats").await?;
    let answer = async {
        let period = period(query.as_deref())?;
        Ok(Json(app.flow.stats(period).await?))
    };
    Ok(rate_limit::limited(&app, &caller, answer).await)
}

fn period(query: Option<&str>) -> Result<Period, Problem> {
    match parse_query::<StatsQuery>(query)?.period.as_deref() {
        None => Ok(Period::Day),
        Some(word) => word.parse().map_err(|_| field("period", "must be 1h, 24h or 7d")),
    }
}

pub(crate) async fn usage(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let presented = app.identities.check(&headers).await?;
    let named = match named_user(query.as_deref()) {
        Ok(named) => named,
        Err(problem) => return rate_limit::refused(&app, &headers, &presented, "process", problem).await,
    };
    let caller = presented.caller(&headers, named.as_deref(), "process")?;
    let report = app.flow.usage(&caller).await?;
    let body = json!({
        "user_id": &*caller.user,
        "limits": report.statuses.iter().map(rate_limit::status_json).collect::<Vec<_>>(),
        "local": report.local,
    });
    let mut response = Json(body).into_response();
    rate_limit::write(response.headers_mut(), &report);
    Ok(response)
}

/// The end user that the query names, if it does.
pub(crate) fn named_user(query: Option<&str>) -> Result<Option<String>, Problem> {
    #[derive(Default, Deserialize)]
    struct UserQuery {
        user_id: Option<String>,
    }
    let named = parse_query::<UserQuery>(query)?.user_id.filter(|name| !name.is_empty());
    if named.as_deref().is_some_and(|name| !is_usable(name)) {
        return Err(field("user_id", "is not a usable user id"));
    }
    Ok(named)
}

fn parse_query<T: Default + for<'de> Deserialize<'de>>(query: Option<&str>) -> Result<T, Problem> {
    let Some(query) = query else { return Ok(T::default()) };
    let invalid = || Problem::fields(vec![FieldProblem::new("", "the query is not valid")]);
    let uri = format!("/?{query}").parse().map_err(|_| invalid())?;
    Query::try_from_uri(&uri).map(|Query(parsed)| parsed).map_err(|_| invalid())
}

fn field(name: &str, detail: &str) -> Problem {
    Problem::fields(vec![FieldProblem::new(format!("/{name}"), detail)])
}
