//! `/openapi.json`: the description of every route (OpenAPI 3.1).
//!
//! Written by hand beside the routes and held against them by tests: every route is described, every described route answers,
//! and an answer has the described fields and no others.

use axum::response::IntoResponse;
use hyper::header::{CONTENT_TYPE, HeaderName};

/// The document.
const DOCUMENT: &str = include_str!("openapi.json");

pub(crate) async fn openapi() -> impl IntoResponse {
    const JSON: [(HeaderName, &str); 1] = [(CONTENT_TYPE, "application/json")];
    (JSON, DOCUMENT)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let described: BTreeSet<_> =
            document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        let router = include_str!("../router.rs");
        let routed: BTreeSet<_> =
            router.split(".route(").skip(1).filter_map(|rest| rest.split('"').nth(1)).collect();
        assert_eq!(described, routed);
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }
}
