//! The rows of the failure table about limits: a denial takes nothing from any limit, and without
//! dollars there is no paid call.

use picarcade_testkit::{Answer, MockProvider};
use reqwest::Method;
use serde_json::{Value, json};

use crate::service::Service;

fn edit(prompt: &str, user: &str) -> Value {
    json!({"prompt": prompt, "active_image": true, "user_id": user})
}

/// Returns how much of each limit of this user is used, by scope and unit.
async fn used(service: &Service, user: &str) -> Vec<(String, f64)> {
    let usage = service.get(&format!("/api/v2/usage?user_id={user}")).await;
    let limits = usage["limits"].as_array().unwrap().iter();
    limits
        .map(|limit| (format!("{} {}", limit["scope"], limit["unit"]), limit["used"].as_f64().unwrap()))
        .collect()
}

#[tokio::test]
async fn a_denied_request_takes_nothing_from_any_limit() {
    let environment = [
        ("RATE_LIMIT_REQUESTS_PER_MINUTE", "3"),
        ("RATE_LIMIT_GLOBAL_REQUESTS_PER_MINUTE", "100"),
        ("RATE_LIMIT_ENDPOINT_REQUESTS_PER_MINUTE", "100"),
    ];
    let service = Service::start(&environment).await;
    let asks = (0..30).map(|_| async {
        let request = service.request(Method::POST, "/api/v2/process").json(&edit("make it red", "ann"));
        let response = request.send().await.unwrap();
        if response.status() == 429 {
            let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
            assert!((1..=3601).contains(&wait), "{wait}");
        }
        response.status().as_u16()
    });
    let statuses = futures_util::future::join_all(asks).await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 3, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 27, "{statuses:?}");
    for (limit, used) in used(&service, "ann").await {
        assert!(used <= 3.0, "{limit}: {used}");
    }
    service.process(edit("make it red", "bob")).await;
}

async fn without_money(action: &str) -> (MockProvider, Service) {
    let mock = MockProvider::start().await.unwrap();
    mock.answer_with(Answer::of("EDIT_IMAGE"));
    let mock_url = mock.url();
    let environment = [
        ("ANTHROPIC_API_KEY", "k"),
        ("ANTHROPIC_BASE_URL", &*mock_url),
        ("COST_LIMIT_PER_HOUR", "0.0001"),
        ("COST_LIMIT_ACTION", action),
    ];
    let service = Service::start(&environment).await;
    (mock, service)
}

#[tokio::test]
async fn without_dollars_the_local_classifier_answers() {
    let (mock, service) = without_money("degrade").await;
    let answer = service.process(edit("make the sky purple", "ann")).await;
    assert_eq!(
        (&answer["source"], &answer["degraded"], &answer["used_fallback"], mock.count()),
        (&json!("local"), &json!(["cost_limit"]), &json!(true), 0),
        "{answer}"
    );
    assert!(used(&service, "ann").await.iter().all(|(limit, used)| !limit.contains("usd") || *used == 0.0));
    // The request reserves a generation explicitly, so it cannot be answered without dollars.
    let mut reserving = edit("make the sky purple", "ann");
    reserving["reserve"] = json!(true);
    let (status, problem) = service.post("/api/v2/process", &reserving).await;
    assert_eq!((status, &problem["violated"][0]["unit"]), (429, &json!("usd")), "{problem}");
    assert!(used(&service, "ann").await.iter().all(|(limit, used)| !limit.contains("usd") || *used == 0.0));
}

#[tokio::test]
async fn without_dollars_the_request_is_denied_if_configured() {
    let (mock, service) = without_money("reject").await;
    let request = service.request(Method::POST, "/api/v2/process").json(&edit("make the sky purple", "ann"));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 429);
    assert!(response.headers().contains_key("retry-after"));
    let problem: Value = response.json().await.unwrap();
    assert_eq!((&problem["violated"][0]["unit"], mock.count()), (&json!("usd"), 0), "{problem}");
}
