//! `GET /openapi.json`: the description of every route (OpenAPI 3.1).
//!
//! The description is written by hand, and tests compare it with the routes: every route is
//! described, every described route answers, and an answer has the described fields and no others.

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
        let described: BTreeSet<_> = document["paths"].as_object().unwrap().keys().cloned().collect();
        let router = include_str!("../router.rs");
        let (before, rest) = router.split_once("fn admin()").unwrap();
        let (admin, after) = rest.split_once("\n}").unwrap();
        let paths = |text: &str| -> Vec<String> {
            let routes = text.split(".route(").skip(1);
            routes.filter_map(|rest| rest.split('"').nth(1)).map(str::to_owned).collect()
        };
        let nested = paths(admin).into_iter().map(|path| format!("/admin{path}"));
        let routed: BTreeSet<_> = paths(before).into_iter().chain(nested).chain(paths(after)).collect();
        assert_eq!(described, routed);
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }
}
