//! `GET /`: where to go.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

/// The service and its entry points.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Root {
    name: &'static str,
    version: &'static str,
    links: Links,
}

/// The entry points: paths on this server, and the address of the documentation.
#[derive(Debug, Serialize, ToSchema)]
struct Links {
    openapi: &'static str,
    health: &'static str,
    documentation: &'static str,
}

/// Returns the name and the version of the service and where to go.
#[utoipa::path(get, path = "/", operation_id = "getRoot", responses((status = 200, body = Root)))]
pub(crate) async fn root() -> Json<Root> {
    let links = Links {
        openapi: "/openapi.json",
        health: "/health",
        documentation: concat!(env!("CARGO_PKG_REPOSITORY"), "/tree/main/docs"),
    };
    Json(Root { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION"), links })
}
