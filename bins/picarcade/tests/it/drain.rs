//! `POST /admin/drain`, the entry page, and who may read health and metrics on loopback.

use reqwest::Method;
use serde_json::{Value, json};

use crate::service::Service;

const TOKEN: (&str, &str) = ("PICARCADE_ADMIN_TOKEN", "root");

async fn send(service: &Service, action: &str) -> Value {
    let request = service.request(Method::POST, &format!("/admin/{action}")).bearer_auth("root");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.json().await.unwrap()
}

async fn status(service: &Service, path: &str) -> u16 {
    service.request(Method::GET, path).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_drained_service_is_unready_and_still_answers() {
    let mut service = Service::start(&[TOKEN]).await;
    assert_eq!(service.request(Method::POST, "/admin/drain").send().await.unwrap().status(), 401);
    assert_eq!(status(&service, "/health/ready").await, 200);
    for _ in 0..2 {
        assert_eq!(send(&service, "drain").await, json!({"draining": true}));
        let ready = service.request(Method::GET, "/health/ready").send().await.unwrap();
        assert!(ready.status() == 503 && ready.headers().contains_key("retry-after"), "{ready:?}");
        assert_eq!(ready.json::<Value>().await.unwrap()["detail"], "the service is drained");
    }
    assert_eq!(status(&service, "/health/live").await, 200);
    assert_eq!(service.get("/health/detailed").await["draining"], true);
    let response = service.request(Method::POST, "/api/v2/process").json(&json!({"prompt": "a red fox"}));
    let response = response.send().await.unwrap();
    // The client should open its next connection elsewhere.
    assert!(response.status() == 200 && response.headers()["connection"] == "close", "{response:?}");

    assert_eq!(send(&service, "undrain").await, json!({"draining": false}));
    assert_eq!(status(&service, "/health/ready").await, 200);
    assert_eq!(service.get("/health/detailed").await["draining"], false);

    send(&service, "drain").await;
    service.signal("TERM");
    assert_eq!(service.ended().await.code(), Some(0));
}

#[tokio::test]
async fn without_an_admin_token_there_is_no_drain() {
    let service = Service::start(&[]).await;
    assert_eq!(service.request(Method::POST, "/admin/drain").send().await.unwrap().status(), 404);
    assert_eq!(status(&service, "/health/ready").await, 200);
}

#[tokio::test]
async fn the_entry_page_says_where_to_go() {
    let service = Service::start(&[("PICARCADE_API_KEYS", "web:a-key-of-the-web")]).await;
    let root = service.get("/").await;
    assert_eq!((&root["name"], &root["version"]), (&json!("picarcade"), &json!(env!("CARGO_PKG_VERSION"))));
    for link in ["openapi", "health"] {
        assert_eq!(status(&service, root["links"][link].as_str().unwrap()).await, 200);
    }
    assert!(root["links"]["documentation"].as_str().unwrap().starts_with("https://"));
}

#[tokio::test]
async fn on_loopback_health_and_metrics_are_open_only_without_an_admin_token() {
    for (environment, expected) in [
        (vec![("PICARCADE_PUBLIC_OPERATIONS", "false")], 200),
        (vec![("PICARCADE_PUBLIC_OPERATIONS", "false"), TOKEN], 401),
        (vec![("PICARCADE_PUBLIC_OPERATIONS", "true"), TOKEN], 200),
    ] {
        let service = Service::start(&environment).await;
        for path in ["/health/detailed", "/health/cache", "/metrics"] {
            assert_eq!(status(&service, path).await, expected, "{path} {environment:?}");
            let request = service.request(Method::GET, path).bearer_auth("root");
            let with_token = request.send().await.unwrap().status();
            assert!(with_token == 200, "{path} {environment:?}");
        }
        assert_eq!(status(&service, "/health/ready").await, 200);
    }
}
