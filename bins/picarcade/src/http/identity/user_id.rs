//! The user ids that a request names, and those that it may not name.

use picarcade_flow::{FieldProblem, UserId};

use crate::http::problem::Problem;

/// The prefix of the user id of an API key that names no end user. Sessions, limits, caches and
/// generations are kept by user id, so no token and no other caller may name a user with this
/// prefix.
pub(super) const KEY_PREFIX: &str = "api-key:";

/// Returns whether only an API key can have this id.
pub(super) fn is_reserved(user: &str) -> bool {
    user.trim_start().starts_with(KEY_PREFIX)
}

/// Parses the `user_id` of a body or a query. An id is checked even if a header field decides who
/// the user is.
pub(crate) fn parse_user_id(user: Option<String>) -> Result<Option<UserId>, Problem> {
    let unusable = |_| Problem::fields(vec![FieldProblem::new("/user_id", "is not a usable user id")]);
    user.map(UserId::try_from).transpose().map_err(unusable)
}
