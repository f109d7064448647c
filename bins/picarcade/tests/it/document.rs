//! The OpenAPI document against the service that serves it.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::schema::Schemas;
use crate::service::Service;

/// Asserts that `schema` describes every property of `value`, and that every required one is
/// present.
fn check(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target =
            document.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference}"));
        return check(document, target, value, at);
    }
    for word in ["anyOf", "oneOf"] {
        if let Some(choices) = schema[word].as_array() {
            let fits = |choice: &&Value| Schemas(document).check(choice, value).is_ok();
            let choice = choices.iter().find(fits).unwrap_or_else(|| panic!("{at} fits none of {word}"));
            return check(document, choice, value, at);
        }
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
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(fields.contains_key(name.as_str().unwrap()), "{at} lacks {name}");
    }
}

/// The snapshot of the document, for clients and for reviews.
const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");

#[tokio::test]
async fn the_served_document_is_the_snapshot_in_the_repository() {
    let service = Service::start(&[]).await;
    let response = service.request(Method::GET, "/openapi.json").send().await.unwrap();
    let served = response.text().await.unwrap();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(SNAPSHOT, &served).unwrap();
    }
    let snapshot = std::fs::read_to_string(SNAPSHOT).unwrap_or_default();
    let difference = served.lines().zip(snapshot.lines()).position(|(served, kept)| served != kept);
    assert!(
        served == snapshot,
        "docs/openapi.json differs from the code, first in line {}. If the change is intended, update it with\n\
         UPDATE_OPENAPI=1 cargo test -p picarcade --test it document::the_served_document",
        difference.unwrap_or_else(|| served.lines().count().min(snapshot.lines().count())) + 1,
    );
}

/// Header fields that every HTTP server may send.
const OF_HTTP: [&str; 5] = ["content-type", "content-length", "date", "connection", "transfer-encoding"];

#[tokio::test]
async fn answers_have_the_described_headers_and_statuses() {
    let service = Service::start(&[
        ("PICARCADE_API_KEYS", "web:key-of-the-web-app"),
        ("RATE_LIMIT_REQUESTS_PER_MINUTE", "1"),
    ])
    .await;
    let document = service.get("/openapi.json").await;
    let body = json!({"prompt": "a red fox"});
    let cases = [
        ("post", "/api/v2/process", "/api/v2/process", Some("key-of-the-web-app")),
        ("post", "/api/v2/process", "/api/v2/process", Some("key-of-the-web-app")),
        ("post", "/api/v2/process", "/api/v2/process", None),
        ("post", "/api/v2/classify-only", "/api/v2/classify-only", Some("key-of-the-web-app")),
        ("post", "/api/v2/batch", "/api/v2/batch", Some("key-of-the-web-app")),
        (
            "post",
            "/api/v2/generations/{generation_id}/outcome",
            "/api/v2/generations/0192/outcome",
            Some("key-of-the-web-app"),
        ),
        (
            "post",
            "/api/v2/generations/{generation_id}/feedback",
            "/api/v2/generations/0192/feedback",
            Some("key-of-the-web-app"),
        ),
        ("get", "/api/v2/models/available", "/api/v2/models/available", Some("key-of-the-web-app")),
        ("get", "/api/v2/stats", "/api/v2/stats?period=x", Some("key-of-the-web-app")),
        ("get", "/api/v2/sessions/{id}", "/api/v2/sessions/x", Some("key-of-the-web-app")),
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
async fn parameters_and_header_fields_of_requests_are_described() {
    let service = Service::start(&[("PICARCADE_CORS_ORIGINS", "https://app.example")]).await;
    let document = service.get("/openapi.json").await;
    let mut described: BTreeSet<_> = ["authorization", "content-type", "x-api-key"].map(str::to_owned).into();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().unwrap().iter();
            let headers: BTreeSet<_> = parameters
                .filter_map(|parameter| {
                    let target = parameter["$ref"].as_str()?.trim_start_matches('#');
                    let parameter = document.pointer(target).unwrap_or_else(|| panic!("{target}"));
                    assert_eq!(parameter["in"], "header");
                    Some(parameter["name"].as_str().unwrap().to_owned())
                })
                .collect();
            let expected: &[_] = match path.as_str() {
                "/api/v2/process" | "/api/v2/classify-only" | "/api/v2/batch" => {
                    &["cache-control", "traceparent", "x-request-id", "x-user-id"]
                }
                path if path.starts_with("/api/") => &["traceparent", "x-request-id", "x-user-id"],
                _ => &["traceparent", "x-request-id"],
            };
            assert!(headers.iter().eq(expected), "{method} {path}: {headers:?}");
            described.extend(headers);
        }
    }
    // A page may send these header fields.
    let preflight = service
        .request(Method::OPTIONS, "/api/v2/process")
        .header("origin", "https://app.example")
        .header("access-control-request-method", "POST");
    let allowed = preflight.send().await.unwrap().headers()["access-control-allow-headers"].clone();
    let allowed: BTreeSet<_> = allowed.to_str().unwrap().split(',').map(str::to_owned).collect();
    assert_eq!(allowed, described);
}

#[tokio::test]
async fn answers_have_the_described_fields_and_no_others() {
    let service = Service::start(&[("PICARCADE_ADMIN_TOKEN", "root")]).await;
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
    let feedback = outcome.replace("outcome", "feedback");
    let (_, recorded) = service.post(&feedback, &json!({"right_type": "EDIT_IMAGE"})).await;
    let described = schema("/api/v2/generations/{generation_id}/feedback", "post", "200", json);
    check(&document, &described, &recorded, "feedback");
    for path in [
        "/api/v2/models/available",
        "/api/v2/decision-matrix",
        "/api/v2/stats",
        "/api/v2/usage",
        "/health",
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
    let all = json!({"all": true});
    for (method, template, path, body) in [
        ("get", "/admin/breakers", "/admin/breakers", None),
        ("post", "/admin/breakers/{name}/{action}", "/admin/breakers/runway/reset", None),
        ("post", "/admin/cache/invalidate", "/admin/cache/invalidate", Some(&all)),
        ("delete", "/admin/users/{user_id}", "/admin/users/ann", None),
        ("get", "/admin/config", "/admin/config", None),
    ] {
        let mut request = service.request(method.to_uppercase().parse().unwrap(), path).bearer_auth("root");
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        check(&document, &schema(template, method, "200", json), &answer.json().await.unwrap(), path);
    }
}

/// Collects every pattern.
fn patterns<'a>(part: &'a Value, found: &mut Vec<&'a str>) {
    found.extend(part["pattern"].as_str());
    match part {
        Value::Object(fields) => fields.values().for_each(|field| patterns(field, found)),
        Value::Array(items) => items.iter().for_each(|item| patterns(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_document_suits_generators_of_clients() {
    let document = Service::start(&[]).await.get("/openapi.json").await;
    let tags: BTreeSet<_> =
        document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    let (mut paths, mut ids, mut used) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (path, methods) in document["paths"].as_object().unwrap() {
        assert!(paths.insert(path.trim_end_matches('/')), "{path} is described twice");
        for operation in methods.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            let is_method = id.starts_with(|c: char| c.is_ascii_lowercase())
                && id.chars().all(|c| c.is_ascii_alphanumeric());
            assert!(is_method && ids.insert(id), "{id}");
            let own: Vec<_> =
                operation["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
            assert_eq!(own.len(), 1, "{id}");
            used.extend(own);
        }
    }
    assert_eq!(used, tags);
    assert!(document["servers"][0]["url"].is_string());
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        // A generated class and its list would have one name.
        assert!(schema["properties"][name.to_lowercase()]["items"].is_null(), "{name}");
    }
    let mut found = Vec::new();
    patterns(&document, &mut found);
    assert!(!found.is_empty());
    for pattern in found {
        // The first is another set in each language, and the second another length.
        let differs = ["\\s", "\\S", "\\w", "\\d"].iter().any(|class| pattern.contains(class));
        assert!(!differs && pattern.chars().all(|c| c <= '\u{ffff}'), "{pattern}");
    }
}
