//! The rule for user ids. Every place that takes a user id from a client checks it here.

use picarcade_flow::{FieldProblem, MAX_ID_BYTES};

use crate::http::problem::Problem;

/// The user of a request that names none, where no identity is configured.
pub(super) const ANONYMOUS: &str = "anonymous";

/// The prefix of the user id of an API key that names no end user. Sessions, limits, caches and
/// generations are kept by user id, so no token and no other caller may name a user with this
/// prefix.
pub(super) const KEY_PREFIX: &str = "api-key:";

/// Returns whether a user can have this id.
pub(super) fn is_usable(user: &str) -> bool {
    user.len() <= MAX_ID_BYTES && !user.trim().is_empty() && !user.chars().any(char::is_control)
}

/// Returns whether only an API key can have this id.
pub(super) fn is_reserved(user: &str) -> bool {
    user.trim_start().starts_with(KEY_PREFIX)
}

/// Checks the `user_id` of a body or a query. An id is checked even if a header field decides who
/// the user is.
pub(crate) fn check_user_id(user: Option<&str>) -> Result<(), Problem> {
    match user {
        Some(user) if !is_usable(user) => {
            Err(Problem::fields(vec![FieldProblem::new("/user_id", "is not a usable user id")]))
        }
        _ => Ok(()),
    }
}
