//! Who asks: API keys, tokens of end users, and the admin.

mod identities;

mod jwks;
mod tokens;

pub(crate) use identities::{Identities, Presented, is_usable};
