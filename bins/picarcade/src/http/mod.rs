//! The HTTP side: the server, the layers, the routes, and the callers' identities.

mod app;
mod router;
mod server;

mod layer;
mod route;

mod identity;

mod body;
mod description;
mod json;
mod problem;
mod rate_limit;
mod shared_store;

pub(crate) use app::App;
pub(crate) use body::parse_request_text;
pub(crate) use identity::{Identities, count_issuer_keys};
pub(crate) use json::{check as check_json, members as json_members};
pub(crate) use layer::log::set_access_log;
pub(crate) use problem::Problem;
pub(crate) use router::router;
pub(crate) use server::{ConnectionLimits, Server, TrustedProxies};
pub(crate) use shared_store::{SharedStore, StoreStatus};
