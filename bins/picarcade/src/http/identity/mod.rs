//! Who asks: API keys, tokens of end users, the admin, and callers on loopback.

mod identities;
mod presented;
mod user_id;

mod api_call;
mod caller_limits;

mod jwks;
mod tokens;

pub(crate) use api_call::{Admitted, ApiCall};
pub(crate) use caller_limits::current_limits;
pub(crate) use identities::Identities;
pub(crate) use jwks::count_issuer_keys;
pub(crate) use presented::Presented;
pub(crate) use user_id::parse_user_id;
