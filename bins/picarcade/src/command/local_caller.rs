//! The caller of a request from the command line.

use picarcade_flow::{Caller, FlowRequest, UserId};

/// Returns the user that the request names, without an API key. A text that is no user id names
/// no user: the flow refuses the request and names all of its wrong fields.
pub(super) fn local_caller(request: &FlowRequest) -> Caller {
    let named = request.user_id.as_deref().and_then(|user| user.parse().ok());
    Caller::user(named.unwrap_or_else(UserId::anonymous)).at("classify")
}
