//! The caller's limits in every response, and responses at a limit or without a decision.

use picarcade_testkit::RedisServer;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::database::{migrated, settled, shared};
use crate::service::{AMPLE, Service, connected, until, with};

fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn every_response_to_an_identified_caller_has_the_limits() {
    let service = Service::start(&[("PICARCADE_API_KEYS", "web:key-of-the-web-app")]).await;
    let prompt = json!({"prompt": "a red fox"});
    let wrong = json!({"prompt": 1});
    let cases = [
        (Method::POST, "/api/v2/process", Some(prompt.clone()), 200),
        (Method::POST, "/api/v2/process", Some(wrong.clone()), 422),
        (Method::POST, "/api/v2/process", Some(json!({"prompt": " "})), 422),
        (Method::POST, "/api/v2/process", None, 415),
        (Method::POST, "/api/v2/classify-only", Some(prompt.clone()), 200),
        (Method::POST, "/api/v2/classify-only", Some(wrong), 422),
        (Method::POST, "/api/v2/batch", Some(json!([prompt])), 200),
        (Method::POST, "/api/v2/batch", Some(json!([])), 422),
        (Method::POST, "/api/v2/generations/0192/outcome", Some(json!({"success": true})), 404),
        (Method::POST, "/api/v2/generations/0192/outcome", Some(json!({})), 422),
        (Method::POST, "/api/v2/generations/0192/feedback", Some(json!({"right_type": "NEW_IMAGE"})), 404),
        (Method::POST, "/api/v2/generations/0192/feedback", Some(json!({})), 422),
        (Method::GET, "/api/v2/models/available", None, 200),
        (Method::GET, "/api/v2/decision-matrix", None, 200),
        (Method::GET, "/api/v2/stats", None, 200),
        (Method::GET, "/api/v2/stats?period=2h", None, 422),
        (Method::GET, "/api/v2/usage", None, 200),
        (Method::PUT, "/api/v2/sessions/s", Some(json!({})), 200),
        (Method::PUT, "/api/v2/sessions/s", Some(json!({"working_image": 1})), 422),
        (Method::GET, "/api/v2/sessions/s", None, 200),
        (Method::DELETE, "/api/v2/sessions/s", None, 204),
        (Method::GET, "/api/v2/sessions/s", None, 404),
        (Method::GET, "/api/v2/sessions/s?user_id=%01", None, 422),
        (Method::PUT, "/api/v2/sessions/s?user_id=%01", Some(json!({})), 422),
        (Method::GET, "/api/v2/usage?user_id=%01", None, 422),
        (Method::GET, "/api/v2/usage?user_id=api-key:other", None, 422),
        (Method::GET, "/api/v2/sessions/s?user_id=api-key:other", None, 422),
        (Method::PUT, "/api/v2/sessions/s", Some(json!({"user_id": "api-key:other"})), 422),
        (Method::GET, "/api/v2/process", None, 405),
        (Method::DELETE, "/api/v2/stats", None, 405),
        (Method::POST, "/api/v2/sessions/s", Some(json!({})), 405),
        (Method::GET, "/api/v2/nowhere", None, 404),
    ];
    for (method, path, body, status) in cases {
        let name = format!("{method} {path} {status}");
        let mut request = service.request(method, path).header("x-api-key", "key-of-the-web-app");
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{name}");
        assert_eq!(status == 405, response.headers().contains_key("allow"), "{name}");
        let policy = header(&response, "ratelimit-policy");
        assert!(policy.contains("\"user-requests-60s\";q=100;w=60"), "{name}: {policy}");
        assert!(policy.contains("q=50000000;w=3600;qu=\"micro-dollars\""), "{name}: {policy}");
        let limit = header(&response, "ratelimit");
        assert!(limit.contains("\"user-requests-60s\";r="), "{name}: {limit}");
    }
    for (method, path, status) in [
        (Method::GET, "/api/v2/models/available", 401),
        (Method::GET, "/api/v2/process", 405),
        (Method::GET, "/api/v2/nowhere", 404),
        (Method::DELETE, "/health", 405),
    ] {
        let stranger = service.request(method, path).send().await.unwrap();
        assert_eq!((stranger.status().as_u16(), header(&stranger, "ratelimit")), (status, String::new()));
    }
    // Three classifications, and nine requests to sessions, models, matrix and statistics. Reports
    // of a key do not count for the named user, and reading the limits is free.
    let usage = service
        .request(Method::GET, "/api/v2/usage")
        .header("x-api-key", "key-of-the-web-app")
        .send()
        .await
        .unwrap();
    let usage: Value = usage.json().await.unwrap();
    assert_eq!(usage["limits"][0]["used"], 12, "{usage}");
}

#[tokio::test]
async fn a_denial_names_the_limit_and_when_to_retry() {
    let service =
        Service::start(&[("RATE_LIMIT_REQUESTS_PER_MINUTE", "1"), ("COST_LIMIT_PER_HOUR", "0.05")]).await;
    let ask = async |user: &str, reserve: bool| {
        let body = json!({"prompt": "make the sky purple", "active_image": true, "user_id": user, "reserve": reserve});
        service.request(Method::POST, "/api/v2/process").json(&body).send().await.unwrap()
    };
    let violated = async |response: Response| {
        assert_eq!(
            (response.status().as_u16(), &*header(&response, "content-type")),
            (429, "application/problem+json")
        );
        let wait: u64 = header(&response, "retry-after").parse().unwrap();
        assert!(wait >= 1 && header(&response, "ratelimit").contains("r=0"), "{wait}");
        let problem: Value = response.json().await.unwrap();
        let names = problem["violated"].as_array().unwrap().iter().map(|limit| limit["unit"].clone());
        names.collect::<Vec<_>>()
    };
    assert_eq!(ask("ann", false).await.status(), 200);
    assert_eq!(violated(ask("ann", false).await).await, ["requests"]);

    let service = Service::start(&[("COST_LIMIT_PER_HOUR", "0.05")]).await;
    let reserve = async || {
        let body = json!({"prompt": "make the sky purple", "active_image": true, "reserve": true});
        service.request(Method::POST, "/api/v2/process").json(&body).send().await.unwrap()
    };
    assert_eq!(reserve().await.status(), 200);
    let denied = reserve().await;
    assert_eq!(denied.status(), 429);
    let problem: Value = denied.json().await.unwrap();
    assert_eq!(
        (&problem["violated"][0]["unit"], &problem["violated"][0]["limit"]),
        (&json!("usd"), &json!(0.05))
    );
}

#[tokio::test]
async fn dollars_are_not_reserved_while_their_limits_cannot_be_decided() {
    let redis = RedisServer::start().await.unwrap();
    let url = redis.url();
    let service = Service::start(&with(&[("REDIS_URL", &*url)], &AMPLE)).await;
    connected(&service).await;
    redis.kill();
    let ask = async |reserve: bool| {
        let body = json!({"prompt": "make the sky purple", "active_image": true, "reserve": reserve});
        service.request(Method::POST, "/api/v2/process").json(&body).send().await.unwrap()
    };
    until("money is closed", async || {
        let response = ask(true).await;
        if response.status() == 200 {
            return false;
        }
        assert_eq!(response.status(), 429);
        assert!(header(&response, "retry-after").parse::<u64>().unwrap() >= 1);
        let problem: Value = response.json().await.unwrap();
        assert!(problem["detail"].as_str().unwrap().contains("no dollars"), "{problem}");
        true
    })
    .await;
    assert_eq!(ask(false).await.status(), 200);
}

/// Returns the status of a request to each route that takes one from the limits.
async fn statuses(service: &Service, user: &str) -> Vec<(String, u16)> {
    let image = json!({"working_image": "https://cdn.example/i.png"});
    let outcome = "/api/v2/generations/0192a3b4-0000-7000-8000-000000000000/outcome";
    let feedback = "/api/v2/generations/0192a3b4-0000-7000-8000-000000000000/feedback";
    let mut statuses = Vec::new();
    for (method, path, body) in [
        (Method::PUT, "/api/v2/sessions/s", Some(image)),
        (Method::PUT, "/api/v2/sessions/s", Some(json!({"working_image": 1}))),
        (Method::GET, "/api/v2/sessions/s", None),
        (Method::DELETE, "/api/v2/sessions/s", None),
        (Method::POST, outcome, Some(json!({"success": true}))),
        (Method::POST, outcome, Some(json!({}))),
        (Method::POST, feedback, Some(json!({}))),
        (Method::GET, "/api/v2/models/available", None),
        (Method::GET, "/api/v2/decision-matrix", None),
        (Method::GET, "/api/v2/stats", None),
        (Method::GET, "/api/v2/stats?period=nonsense", None),
    ] {
        let mut request = service.request(method.clone(), path).header("x-user-id", user);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        if status == 429 {
            assert!(!header(&response, "retry-after").is_empty(), "{method} {path}");
            assert!(header(&response, "ratelimit").contains("r=0"), "{method} {path}");
        }
        statuses.push((format!("{method} {path}"), status));
    }
    statuses
}

#[tokio::test]
async fn every_route_that_does_work_takes_a_request_from_the_limits() {
    let service = Service::start(&[("RATE_LIMIT_REQUESTS_PER_MINUTE", "11")]).await;
    for (route, status) in statuses(&service, "ann").await {
        assert_ne!(status, 429, "{route}");
    }
    for (route, status) in statuses(&service, "ann").await {
        assert_eq!(status, 429, "{route}");
    }
    // The caller can still read which limit that is, and other users have limits of their own.
    let usage = service.get("/api/v2/usage?user_id=ann").await;
    assert_eq!(usage["limits"][0]["remaining"], 0, "{usage}");
    assert_ne!(statuses(&service, "bob").await[0].1, 429);
}

#[tokio::test]
async fn each_route_has_its_own_limit_of_scope_endpoint() {
    let service = Service::start(&[("RATE_LIMIT_ENDPOINT_REQUESTS_PER_MINUTE", "4")]).await;
    // Sessions are requested four times a round, the other endpoints once or twice.
    for (route, status) in statuses(&service, "ann").await {
        assert_ne!(status, 429, "{route}");
    }
    for (route, status) in statuses(&service, "bob").await {
        assert_eq!(status == 429, route.contains("sessions"), "{route}: {status}");
    }
}

#[tokio::test]
async fn a_user_at_its_limit_does_not_prevent_the_operators_report() {
    let environment =
        [("PICARCADE_API_KEYS", "web:key-of-the-web-app"), ("RATE_LIMIT_REQUESTS_PER_MINUTE", "1")];
    let service = Service::start(&environment).await;
    let keyed = async |path: &str, body: Value| {
        let request = service
            .request(Method::POST, path)
            .header("x-api-key", "key-of-the-web-app")
            .header("x-user-id", "ann");
        let response = request.json(&body).send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let body = json!({"prompt": "make the sky purple", "active_image": true, "reserve": true});
    let (status, answer) = keyed("/api/v2/process", body.clone()).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(keyed("/api/v2/process", body).await.0, 429);
    let outcome = format!("/api/v2/generations/{}/outcome", answer["generation_id"].as_str().unwrap());
    let (status, reported) = keyed(&outcome, json!({"success": true, "actual_cost": 0.02})).await;
    assert_eq!((status, &reported["settlement"]), (200, &json!("settled")), "{reported}");
}

#[tokio::test]
async fn a_denied_request_leaves_a_row_without_its_prompt() {
    let server = shared().await;
    let url = migrated(server).await;
    let environment = [("DATABASE_URL", &*url), ("RATE_LIMIT_REQUESTS_PER_MINUTE", "1")];
    let service = Service::start(&environment).await;
    let prompt = "x".repeat(8000);
    for expected in [200, 429, 429, 429] {
        let body = json!({"prompt": prompt, "user_id": "ann"});
        assert_eq!(service.post("/api/v2/process", &body).await.0, expected);
    }
    settled(&service).await;
    let sql = "SELECT count(*), max(length(prompt)) FROM intent_classification_logs WHERE rate_limited";
    assert_eq!(server.psql_at(&url, sql).await.unwrap().trim(), "3|0");
}
