//! `GET /openapi.json`: the description of every route (OpenAPI 3.1).

use std::sync::{Arc, OnceLock};

use axum::extract::State;
use axum::response::IntoResponse;
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName};

/// The text of the document. The router sets it after it has collected all routes, this one
/// included.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document(Arc<OnceLock<Bytes>>);

impl Document {
    /// Sets the text, once.
    pub(crate) fn set(&self, text: String) {
        self.0.get_or_init(|| text.into());
    }
}

/// Returns this document.
#[utoipa::path(get, path = "/openapi.json", operation_id = "getOpenapi", responses((status = 200, body = Object)))]
pub(crate) async fn openapi(State(Document(text)): State<Document>) -> impl IntoResponse {
    const JSON: [(HeaderName, &str); 1] = [(CONTENT_TYPE, "application/json")];
    (JSON, text.get().cloned().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_route_is_added_together_with_its_description() {
        let router = include_str!("../router.rs");
        assert!(router.contains(".routes(routes!(") && !router.contains(".route("));
    }
}
