//! What every answer says of the caller's limits, and what is said when they are reached or cannot be decided.

use picarcade_testkit::RedisServer;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::service::{PATIENCE, Service, connected};

fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn every_answer_to_an_identified_caller_tells_the_limits() {
    let service = Service::start(&[("PICARCADE_API_KEYS", "web:k")]).await;
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
    ];
    for (method, path, body, status) in cases {
        let name = format!("{method} {path} {status}");
        let mut request = service.request(method, path).header("x-api-key", "k");
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{name}");
        let policy = header(&response, "ratelimit-policy");
        assert!(policy.contains("\"user-requests-60s\";q=100;w=60"), "{name}: {policy}");
        assert!(policy.contains("q=50000000;w=3600;qu=\"micro-dollars\""), "{name}: {policy}");
        let limit = header(&response, "ratelimit");
        assert!(limit.contains("\"user-requests-60s\";r="), "{name}: {limit}");
    }
    let stranger = service.request(Method::GET, "/api/v2/models/available").send().await.unwrap();
    assert_eq!((stranger.status().as_u16(), header(&stranger, "ratelimit")), (401, String::new()));
    // Reading the limits used nothing up: three requests were made, one of them in the batch.
    let usage = service.request(Method::GET, "/api/v2/usage").header("x-api-key", "k").send().await.unwrap();
    let usage: Value = usage.json().await.unwrap();
    assert_eq!(usage["limits"][0]["used"], 3, "{usage}");
}

#[tokio::test]
async fn a_reached_limit_says_which_and_when_to_come_back() {
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
async fn dollars_that_nobody_can_count_are_not_promised() {
    let redis = RedisServer::start().await.unwrap();
    let service = Service::start(&[("REDIS_URL", &redis.url())]).await;
    connected(&service).await;
    redis.kill();
    let ask = async |reserve: bool| {
        let body = json!({"prompt": "make the sky purple", "active_image": true, "reserve": reserve});
        service.request(Method::POST, "/api/v2/process").json(&body).send().await.unwrap()
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        let response = ask(true).await;
        if response.status() == 429 {
            assert!(header(&response, "retry-after").parse::<u64>().unwrap() >= 1);
            let problem: Value = response.json().await.unwrap();
            assert!(problem["detail"].as_str().unwrap().contains("no dollars"), "{problem}");
            break;
        }
        assert_eq!(response.status(), 200);
        assert!(Instant::now() < deadline, "money stayed open");
    }
    assert_eq!(ask(false).await.status(), 200);
}
