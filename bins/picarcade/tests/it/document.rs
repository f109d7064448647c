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

/// Header fields that every HTTP server may send.
const OF_HTTP: [&str; 5] = ["content-type", "content-length", "date", "connection", "transfer-encoding"];

#[tokio::test]
async fn answers_have_the_described_headers_and_statuses() {
    let service =
        Service::start(&[("PICARCADE_API_KEYS", "web:k"), ("RATE_LIMIT_REQUESTS_PER_MINUTE", "1")]).await;
    let document = service.get("/openapi.json").await;
    let body = json!({"prompt": "a red fox"});
    let cases = [
        ("post", "/api/v2/process", "/api/v2/process", Some("k")),
        ("post", "/api/v2/process", "/api/v2/process", Some("k")),
        ("post", "/api/v2/process", "/api/v2/process", None),
        ("post", "/api/v2/classify-only", "/api/v2/classify-only", Some("k")),
        ("post", "/api/v2/batch", "/api/v2/batch", Some("k")),
        (
            "post",
            "/api/v2/generations/{generation_id}/outcome",
            "/api/v2/generations/0192/outcome",
            Some("k"),
        ),
        ("get", "/api/v2/models/available", "/api/v2/models/available", Some("k")),
        ("get", "/api/v2/stats", "/api/v2/stats?period=x", Some("k")),
        ("get", "/api/v2/sessions/{id}", "/api/v2/sessions/x", Some("k")),
        ("get", "/health/live", "/health/live", None),
        ("get", "/health/detailed", "/health/detailed", None),
        ("get", "/admin/breakers", "/admin/breakers", None),
        ("get", "/metrics", "/metrics", None),
    ];
    let mut seen = BTreeSet::new();
    for (method, template, path, key) in cases {
        let mut request = service.request(method.to_uppercase().parse().unwrap(), path);
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        if method == "post" {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16().to_string();
        let described = &document["paths"][template][method]["responses"][&status];
        assert!(described.is_object(), "{method} {template} {status} is not described");
        let described = described["headers"].as_object().unwrap();
        for name in response.headers().keys().map(reqwest::header::HeaderName::as_str) {
            assert!(
                OF_HTTP.contains(&name) || described.contains_key(name),
                "{method} {template} {status}: {name}"
            );
        }
        for (name, header) in described {
            let header = document.pointer(header["$ref"].as_str().unwrap().trim_start_matches('#')).unwrap();
            let there = response.headers().contains_key(name);
            assert!(there || header["required"] != true, "{method} {template} {status} lacks {name}");
        }
        seen.insert(status);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["200", "401", "404", "422", "429"]);
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
