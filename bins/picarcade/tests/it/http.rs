//! The routes and their errors in detail.

use reqwest::Method;
use serde_json::{Value, json};

use crate::database::settled;
use crate::service::{Service, until};

#[tokio::test]
async fn the_second_request_is_a_cache_hit() {
    let service = Service::start(&[]).await;
    let body = json!({"prompt": "make the sky purple", "active_image": true});
    let first = service.process(body.clone()).await;
    assert_eq!(first["prompt_type"], "EDIT_IMAGE");
    assert_eq!(first["cache"]["intent"], "miss");
    let second = service.process(body).await;
    assert_eq!((&second["cache_hit"], &second["cache"]["intent"]), (&json!(true), &json!("l1")));
    let fields: Vec<_> = first.as_object().unwrap().keys().map(String::as_str).collect();
    for field in [
        "success",
        "prompt_type",
        "model_to_use",
        "fallback_models",
        "enhanced_prompt",
        "original_prompt",
        "reasoning",
        "confidence",
        "source",
        "corrected_from",
        "estimated_cost",
        "estimated_time",
        "model_parameters",
        "classification_flags",
        "cache_hit",
        "cache",
        "used_fallback",
        "circuit_breaker_state",
        "rate_limited",
        "degraded",
        "generation_id",
        "processing_time_ms",
        "request_id",
    ] {
        assert!(fields.contains(&field), "{field}");
    }
}

async fn problem_of(service: &Service, content_type: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
    let request =
        service.request(Method::POST, "/api/v2/process").header("content-type", content_type).body(body);
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert!(response.headers().contains_key("x-request-id"));
    let status = response.status().as_u16();
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["status"], status);
    for field in ["type", "title", "detail"] {
        assert!(problem[field].is_string(), "{problem}");
    }
    (status, problem)
}

#[tokio::test]
async fn wrong_input_is_a_problem_that_names_its_field() {
    let service = Service::start(&[]).await;
    let json = "application/json";
    assert_eq!(problem_of(&service, json, "{").await.0, 400);
    assert_eq!(problem_of(&service, json, "").await.0, 400);
    assert_eq!(problem_of(&service, json, &b"{\"prompt\": \"\xff\"}"[..]).await.0, 400);
    assert_eq!(problem_of(&service, json, "[".repeat(60_000)).await.0, 400);
    assert_eq!(problem_of(&service, "text/plain", r#"{"prompt": "x"}"#).await.0, 415);
    assert_eq!(
        problem_of(&service, json, format!(r#"{{"prompt": "x", "pad": "{}"}}"#, "y".repeat(65_536))).await.0,
        413
    );
    let pointers = [
        ("{}", "/prompt"),
        (r#"{"prompt": ""}"#, "/prompt"),
        (r#"{"prompt": " \n "}"#, "/prompt"),
        (r#"{"prompt": 7}"#, "/prompt"),
        (r#"{"prompt": "x", "active_image": "yes"}"#, "/active_image"),
        (
            r#"{"prompt": "x", "context": {"uploaded_images": ["file:///etc/passwd"]}}"#,
            "/context/uploaded_images/0",
        ),
        (r#"{"prompt": "x", "user_id": ""}"#, "/user_id"),
    ];
    for (body, pointer) in pointers {
        let (status, problem) = problem_of(&service, json, body).await;
        assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!(pointer)), "{body}");
    }
    for list in ["[]", r#"["a cat"]"#, "7"] {
        let (status, problem) = problem_of(&service, json, list).await;
        assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("")), "{list}");
    }
    let stranger = json!({"prompt": "x", "user_id": "é".repeat(200)}).to_string();
    assert_eq!(problem_of(&service, json, stranger).await.1["errors"][0]["pointer"], "/user_id");
    let long = json!({"prompt": "é".repeat(8001)}).to_string();
    assert_eq!(problem_of(&service, json, long).await.0, 422);
    assert_eq!(service.process(json!({"prompt": "é".repeat(8000), "unknown": 1})).await["success"], true);
}

#[tokio::test]
async fn a_body_without_a_length_is_limited_too() {
    let service = Service::start(&[]).await;
    let chunks = futures_util::stream::iter((0..200).map(|_| Ok::<_, std::io::Error>(" ".repeat(1024))));
    let (status, _) = problem_of(&service, "application/json", reqwest::Body::wrap_stream(chunks)).await;
    assert_eq!(status, 413);
}

#[tokio::test]
async fn unknown_routes_and_methods_are_problems() {
    let service = Service::start(&[]).await;
    for (method, path, status) in [
        (Method::GET, "/nowhere", 404),
        (Method::GET, "/api/v2/process", 405),
        (Method::DELETE, "/health", 405),
        (Method::GET, "/admin/breakers", 404),
        (Method::GET, "/api/v2/stats?period=2h", 422),
    ] {
        let response = service.request(method, path).send().await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{path}");
        if status == 405 {
            assert!(response.headers().contains_key("allow"), "{path}");
        }
    }
}

#[tokio::test]
async fn a_usable_request_id_is_echoed() {
    let service = Service::start(&[]).await;
    let id = async |sent: &str| {
        let response =
            service.request(Method::GET, "/health/live").header("x-request-id", sent).send().await.unwrap();
        response.headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(id("abc-123").await, "abc-123");
    assert_ne!(id("a b").await, "a b");
    assert_ne!(id(&"x".repeat(200)).await, "x".repeat(200));
}

#[tokio::test]
async fn the_probes_and_the_reading_routes_answer() {
    let service = Service::start(&[]).await;
    assert_eq!(service.get("/health/live").await, json!({"alive": true}));
    let health = service.get("/health/").await;
    assert_eq!((&health["status"], &health["service"]), (&json!("healthy"), &json!("picarcade")));
    assert!(health["version"].is_string() && health["timestamp"].is_string());
    service.get("/health/ready").await;
    let mut detailed = Value::Null;
    until("all is healthy", async || {
        detailed = service.get("/health/detailed").await;
        detailed["overall"] == "healthy"
    })
    .await;
    for part in ["cache", "database", "circuit_breakers", "rate_limiter", "flow"] {
        assert_eq!(detailed["components"][part]["status"], "healthy", "{part}");
    }
    let caches = service.get("/health/cache").await;
    let levels = caches["levels"].as_array().unwrap();
    assert_eq!(levels.len(), 5);
    for field in ["entries", "bytes", "hits", "misses", "stale", "loads", "coalesced", "evictions"] {
        assert!(levels.iter().all(|level| level[field].is_u64()), "{field}");
    }
    let models = service.get("/api/v2/models/available").await;
    assert!(models["models"].as_array().unwrap().iter().all(|model| model["available"] == true));
    assert_eq!(service.get("/api/v2/decision-matrix").await["rows"].as_array().unwrap().len(), 13);
}

#[tokio::test]
async fn the_metrics_count_requests_by_route_and_lookups_by_level() {
    let service = Service::start(&[]).await;
    for _ in 0..2 {
        service.process(json!({"prompt": "a secret fox", "user_id": "ann"})).await;
    }
    service.request(Method::GET, "/made/up/path").send().await.unwrap();
    let text = service.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    for line in [
        r#"picarcade_http_requests_total{route="/api/v2/process",method="POST",status="200"} 2"#,
        r#"picarcade_http_requests_total{route="none",method="GET",status="404"} 1"#,
        r#"picarcade_cache_lookups_total{cache="intent",result="l1"} 1"#,
        r#"picarcade_http_request_duration_seconds_count{route="/api/v2/process"} 2"#,
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("fox") && !text.contains("ann\"") && !text.contains("made"), "{text}");
}

#[tokio::test]
async fn pages_of_configured_origins_may_send_requests() {
    let service = Service::start(&[("PICARCADE_CORS_ORIGINS", "https://app.example")]).await;
    let allowed = async |origin: &str| {
        let request = service
            .request(Method::OPTIONS, "/api/v2/process")
            .header("origin", origin)
            .header("access-control-request-method", "POST");
        let response = request.send().await.unwrap();
        response.headers().get("access-control-allow-origin").map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(allowed("https://app.example").await.as_deref(), Some("https://app.example"));
    assert_eq!(allowed("https://evil.example").await, None);
}

#[tokio::test]
async fn limits_are_enforced_and_reported() {
    let service = Service::start(&[("RATE_LIMIT_REQUESTS_PER_MINUTE", "3")]).await;
    let body = json!({"prompt": "make the sky purple", "user_id": "ann"});
    let mut last = String::new();
    for _ in 0..3 {
        let response = service.request(Method::POST, "/api/v2/process").json(&body).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.headers().contains_key("ratelimit-policy"));
        last = response.headers()["ratelimit"].to_str().unwrap().to_owned();
    }
    assert!(last.contains("r=0"), "{last}");
    let response = service.request(Method::POST, "/api/v2/process").json(&body).send().await.unwrap();
    assert_eq!(response.status(), 429);
    let retry: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    // A sliding window expires by sub-buckets of a second, on the strict side.
    assert!((1..=61).contains(&retry), "{retry}");
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["violated"][0]["scope"], "USER");
    let usage = service.get("/api/v2/usage?user_id=ann").await;
    assert_eq!(usage["limits"][0]["used"], 3);
    service.process(json!({"prompt": "make the sky purple", "user_id": "bob"})).await;
    settled(&service).await;
    let stats = service.get("/api/v2/stats").await;
    assert_eq!((&stats["total_classifications"], &stats["cached"]), (&json!(5), &json!(false)));
    assert_eq!(stats["rate_limited_rate"], 20.0);
}

#[tokio::test]
async fn a_batch_has_one_result_for_each_request_in_order() {
    let service = Service::start(&[]).await;
    let body = json!({"requests": [
        {"prompt": "make the sky purple", "active_image": true},
        {"prompt": ""},
        "nonsense",
        {"prompt": "a red fox"},
    ]});
    let (status, answer) = service.post("/api/v2/batch", &body).await;
    assert_eq!(status, 200, "{answer}");
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results[0]["prompt_type"], "EDIT_IMAGE");
    assert_eq!((&results[1]["status"], &results[2]["status"]), (&json!(422), &json!(422)));
    assert_eq!(results[3]["prompt_type"], "NEW_IMAGE");
    let many: Vec<_> = (0..257).map(|_| json!({"prompt": "x"})).collect();
    assert_eq!(service.post("/api/v2/batch", &json!(many)).await.0, 422);
}

#[tokio::test]
async fn a_generation_is_reported_once() {
    let service = Service::start(&[]).await;
    let answer = service.process(json!({"prompt": "a red fox", "user_id": "ann", "reserve": true})).await;
    let path = format!("/api/v2/generations/{}/outcome", answer["generation_id"].as_str().unwrap());
    let report = json!({"success": true, "actual_cost": 0.02, "actual_time": 12.5, "user_id": "ann"});
    let (status, reported) = service.post(&path, &report).await;
    assert_eq!(
        (status, &reported["recorded"], &reported["settlement"]),
        (200, &json!(true), &json!("settled"))
    );
    assert_eq!(service.post(&path, &report).await.1["recorded"], false);
    assert_eq!(service.post(&path, &json!({"success": true, "user_id": "bob"})).await.0, 404);
    let (status, problem) = service.post(&path, &json!({"success": "yes", "user_id": "ann"})).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("/success")));
    let usage = service.get("/api/v2/usage?user_id=ann").await;
    let cost = usage["limits"].as_array().unwrap().iter().find(|limit| limit["unit"] == "usd").unwrap();
    assert_eq!(cost["used"], 0.02);
}

#[tokio::test]
async fn only_its_owner_sees_a_session() {
    let service = Service::start(&[]).await;
    let put = service.request(Method::PUT, "/api/v2/sessions/s1").header("x-user-id", "ann");
    let session: Value = put
        .json(&json!({"working_image": "https://cdn.example/i.png"}))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(session["working_image"], "https://cdn.example/i.png");
    assert!(session["expires_at"].as_str().unwrap().ends_with('Z'));
    let status = async |user: &str, method: Method| {
        let request = service.request(method, "/api/v2/sessions/s1").header("x-user-id", user);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(status("bob", Method::GET).await, 404);
    assert_eq!(status("bob", Method::DELETE).await, 404);
    let answer =
        service.process(json!({"prompt": "make it blue", "session_id": "s1", "user_id": "ann"})).await;
    assert_eq!(answer["prompt_type"], "EDIT_IMAGE");
    assert_eq!(status("ann", Method::DELETE).await, 204);
    assert_eq!(status("ann", Method::GET).await, 404);
}
