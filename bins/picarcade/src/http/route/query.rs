//! Query parameters.

use axum::extract::Query;
use picarcade_flow::openapi::IdOrEmpty;
use picarcade_flow::{FieldProblem, UserId};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::http::identity::parse_user_id;
use crate::http::problem::Problem;

/// Parses a query. Without a query every parameter has its default.
pub(super) fn parse<T: Default + for<'de> Deserialize<'de>>(query: Option<&str>) -> Result<T, Problem> {
    let Some(query) = query else { return Ok(T::default()) };
    let invalid = || Problem::fields(vec![FieldProblem::new("", "the query is not valid")]);
    let uri = format!("/?{query}").parse().map_err(|_| invalid())?;
    Query::try_from_uri(&uri).map(|Query(parsed)| parsed).map_err(|_| invalid())
}

/// The end user that a query names.
#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct UserQuery {
    /// The end user, if the caller may name one.
    #[param(value_type = IdOrEmpty, inline, required = false)]
    user_id: Option<String>,
}

/// Returns the end user that the query names.
pub(super) fn named_user(query: Option<&str>) -> Result<Option<UserId>, Problem> {
    parse_user_id(parse::<UserQuery>(query)?.user_id.filter(|name| !name.is_empty()))
}
