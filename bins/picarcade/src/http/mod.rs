//! The HTTP side: connections, identity, routes and the words of errors.

mod app;
mod router;
mod server;

mod layer;
mod route;

mod identity;

mod body;
mod json;
mod problem;
mod rate_limit;

pub(crate) use app::App;
pub(crate) use body::request as parse_request;
pub(crate) use identity::Identities;
pub(crate) use json::{check as check_json, members as json_members};
pub(crate) use problem::Problem;
pub(crate) use route::metrics::install as install_metrics;
pub(crate) use router::router;
pub(crate) use server::{ConnectionLimits, Server};
