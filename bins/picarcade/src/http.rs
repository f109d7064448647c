//! The HTTP side: connections, identity, routes and the words of errors.

mod accept;
mod admin;
mod app;
mod around;
mod batch;
mod body;
mod connection;
mod health;
mod identity;
mod json;
mod limits;
mod load;
mod metrics;
mod open;
mod openapi;
mod outcome;
mod problem;
mod process;
mod read;
mod request_id;
mod router;
mod sessions;
#[cfg(feature = "otel")]
mod span;
#[cfg(not(feature = "otel"))]
#[path = "http/no_span.rs"]
mod span;
mod unread;

pub(crate) use accept::run;
pub(crate) use app::App;
pub(crate) use body::request as parse_request;
pub(crate) use identity::Identities;
pub(crate) use json::{check as check_json, members as json_members};
pub(crate) use metrics::install as install_metrics;
pub(crate) use open::Limits;
pub(crate) use problem::Problem;
pub(crate) use router::router;
