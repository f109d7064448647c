//! The OpenAPI document against the service that serves it.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::service::Service;

/// Every property that `value` has is described by `schema`, and every required one is there.
fn check(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target =
            document.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference}"));
        return check(document, target, value, at);
    }
    if let Some(items) = value.as_array() {
        for (index, item) in items.iter().enumerate() {
            check(document, &schema["items"], item, &format!("{at}/{index}"));
        }
    }
    let (Some(properties), Some(fields)) = (schema["properties"].as_object(), value.as_object()) else {
        return;
    };
    let described: BTreeSet<_> = properties.keys().collect();
    for (name, field) in fields {
        assert!(described.contains(name), "{at}/{name} is not described");
        check(document, &properties[name], field, &format!("{at}/{name}"));
    }
    for name in schema["required"].as_array().unwrap() {
        assert!(fields.contains_key(name.as_str().unwrap()), "{at} lacks {name}");
    }
}

#[tokio::test]
async fn answers_have_the_described_fields_and_no_others() {
    let service = Service::start(&[]).await;
    let document = service.get("/openapi.json").await;
    let schema = |path: &str, method: &str, status: &str, media_type: &str| {
        let schema = &document["paths"][path][method]["responses"][status]["content"][media_type]["schema"];
        assert!(schema.is_object(), "{path} {method} {status}");
        schema.clone()
    };
    let json = "application/json";
    let body = json!({"prompt": "make the sky purple", "active_image": true, "reserve": true});
    let answer = service.process(body.clone()).await;
    check(&document, &schema("/api/v2/process", "post", "200", json), &answer, "process");
    let (_, classified) = service.post("/api/v2/classify-only", &body).await;
    check(&document, &schema("/api/v2/classify-only", "post", "200", json), &classified, "classify-only");
    let (_, batch) = service.post("/api/v2/batch", &json!([body])).await;
    check(&document, &schema("/api/v2/batch", "post", "200", json), &batch, "batch");
    let (_, problem) = service.post("/api/v2/process", &json!({"prompt": 1})).await;
    let problem_json = "application/problem+json";
    check(&document, &schema("/api/v2/process", "post", "422", problem_json), &problem, "problem");
    let outcome = format!("/api/v2/generations/{}/outcome", answer["generation_id"].as_str().unwrap());
    let (_, reported) = service.post(&outcome, &json!({"success": true})).await;
    let described = schema("/api/v2/generations/{generation_id}/outcome", "post", "200", json);
    check(&document, &described, &reported, "outcome");
    for path in [
        "/api/v2/models/available",
        "/api/v2/decision-matrix",
        "/api/v2/stats",
        "/api/v2/usage",
        "/health",
        "/health/",
        "/health/live",
        "/health/ready",
        "/health/detailed",
        "/health/cache",
    ] {
        check(&document, &schema(path, "get", "200", json), &service.get(path).await, path);
    }
    let put = service.request(Method::PUT, "/api/v2/sessions/s1").json(&json!({"metadata": {"a": 1}}));
    let session: Value = put.send().await.unwrap().json().await.unwrap();
    check(&document, &schema("/api/v2/sessions/{id}", "put", "200", json), &session, "session");
}
