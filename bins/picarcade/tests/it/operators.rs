//! Routes that only operators may use.

use picarcade_intent::Matrix;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::failing_database::UNLIMITED;
use crate::service::{Service, until};

#[tokio::test]
async fn only_the_admin_token_opens_the_admin_routes() {
    let service =
        Service::start(&[("PICARCADE_ADMIN_TOKEN", "root-token"), ("OPENAI_API_KEY", "sk-secret")]).await;
    let send = async |method: Method, path: &str, token: Option<&str>, body: Option<Value>| {
        let mut request = service.request(method, path);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let admin = Some("root-token");
    for (method, path) in [
        (Method::GET, "/admin/breakers"),
        (Method::GET, "/admin/config"),
        (Method::POST, "/admin/cache/invalidate"),
        (Method::POST, "/admin/breakers/replicate/reset"),
        (Method::DELETE, "/admin/users/ann"),
    ] {
        assert_eq!(send(method.clone(), path, None, None).await.0, 401, "{path}");
        assert_eq!(send(method, path, Some("wrong"), None).await.0, 401, "{path}");
    }
    let (_, breakers) = send(Method::GET, "/admin/breakers", admin, None).await;
    let names: Vec<_> =
        breakers["breakers"].as_array().unwrap().iter().map(|breaker| &breaker["name"]).collect();
    assert_eq!(names, ["anthropic", "openai", "replicate", "runway"]);

    let (status, breaker) = send(Method::POST, "/admin/breakers/replicate/force-open", admin, None).await;
    assert_eq!((status, &breaker["state"]), (200, &json!("forced_open")));
    let answer = service.process(json!({"prompt": "make the sky purple", "active_image": true})).await;
    assert_eq!(answer["model_to_use"], "runway_gen4_image");
    assert!(answer["degraded"].as_array().unwrap().contains(&json!("model_unavailable")));
    assert_eq!(send(Method::POST, "/admin/breakers/replicate/reset", admin, None).await.1["state"], "closed");
    assert_eq!(send(Method::POST, "/admin/breakers/nobody/reset", admin, None).await.0, 404);
    assert_eq!(send(Method::POST, "/admin/breakers/replicate/explode", admin, None).await.0, 404);

    assert_eq!(send(Method::DELETE, "/admin/users/%20", admin, None).await.0, 422);
    assert_eq!(send(Method::DELETE, "/admin/users/nobody", admin, None).await, (200, json!({"deleted": 0})));

    let (_, config) = send(Method::GET, "/admin/config", admin, None).await;
    assert!(!config.to_string().contains("root-token") && !config.to_string().contains("sk-secret"));
}

#[tokio::test]
async fn an_invalidated_answer_is_not_served_again() {
    let service = Service::start(&[("PICARCADE_ADMIN_TOKEN", "root-token")]).await;
    let ask = async |user: &str| {
        service.process(json!({"prompt": "a red fox", "user_id": user})).await["cache"]["intent"].clone()
    };
    let invalidate = async |body: Value| {
        let request = service.request(Method::POST, "/admin/cache/invalidate").bearer_auth("root-token");
        request.json(&body).send().await.unwrap().status().as_u16()
    };
    ask("ann").await;
    ask("bob").await;
    assert_eq!(invalidate(json!({"user_id": "ann"})).await, 200);
    assert_eq!((ask("ann").await, ask("bob").await), (json!("miss"), json!("l1")));
    assert_eq!(invalidate(json!({"all": true})).await, 200);
    assert_eq!(ask("bob").await, json!("miss"));
    assert_eq!(invalidate(json!({"tag": "user:bob"})).await, 200);
    assert_eq!((ask("ann").await, ask("bob").await), (json!("miss"), json!("miss")));
    assert_eq!(invalidate(json!({})).await, 422);
    assert_eq!(invalidate(json!({"all": true, "tag": "x"})).await, 422);
}

#[tokio::test]
async fn changed_rules_are_applied_and_wrong_ones_are_not() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("matrix.csv");
    let original = Matrix::embedded().to_csv();
    std::fs::write(&file, &original).unwrap();
    let environment = [&[("PICARCADE_RULES", file.to_str().unwrap())], &UNLIMITED[..]].concat();
    let service = Service::start_in(directory, &environment, &[]).await;
    let version = async || service.get("/api/v2/decision-matrix").await["version"].clone();
    let first = version().await;
    let ask = async || service.process(json!({"prompt": "a red fox"})).await;
    assert_eq!(ask().await["prompt_type"], "NEW_IMAGE");
    assert_eq!(ask().await["cache_hit"], true);

    std::fs::write(&file, "nonsense").unwrap();
    service.signal("HUP");
    until("the wrong rules are refused", async || {
        let health = service.get("/health/detailed").await;
        health["components"]["flow"]["last_error"] == "rules_refused"
    })
    .await;
    assert_eq!((version().await, &ask().await["cache_hit"]), (first.clone(), &json!(true)));

    std::fs::write(
        &file,
        original.replace("black-forest-labs/flux-1.1-pro", "black-forest-labs/flux-kontext-max"),
    )
    .unwrap();
    service.signal("HUP");
    until("the new rules are in force", async || version().await != first).await;
    let answer = ask().await;
    assert_eq!(
        (&answer["cache_hit"], &answer["model_to_use"]),
        (&json!(false), &json!("black-forest-labs/flux-kontext-max"))
    );
}
