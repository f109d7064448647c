//! The rows of the failure table about the AI provider: every request is answered, and the answer
//! names what is degraded.

use std::collections::BTreeSet;
use std::time::Duration;

use picarcade_testkit::{Answer, Coding, Fault, FaultProxy, MockProvider, Reply};
use serde_json::{Value, json};

use crate::service::{Service, in_time, until, with};

/// Starts a service that uses the mock at this address.
async fn service(url: &str, more: &[(&str, &str)]) -> Service {
    let environment = [("ANTHROPIC_API_KEY", "k"), ("ANTHROPIC_BASE_URL", url)];
    Service::start(&with(&environment, more)).await
}

/// For faults that the deadline ends.
const SOON: (&str, &str) = ("CLASSIFICATION_TIMEOUT", "1");

/// For faults that end before the deadline, even on a slow machine.
const LATE: (&str, &str) = ("CLASSIFICATION_TIMEOUT", "120");

fn status_200(body: &str) -> Reply {
    Reply::Status { code: 200, headers: vec![], body: body.to_owned() }
}

/// Returns a request whose facts leave a choice, so that the AI is called.
fn edit(prompt: &str) -> Value {
    json!({"prompt": prompt, "active_image": true})
}

#[tokio::test]
async fn every_fault_of_the_provider_is_answered_with_its_reason() {
    let mock = MockProvider::start().await.unwrap();
    let proxy = FaultProxy::start(mock.addr()).await.unwrap();
    let never_opens = ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "1000");
    let url = proxy.url_for("http");
    let (hasty, patient) =
        (service(&url, &[never_opens, SOON]).await, service(&url, &[never_opens, LATE]).await);
    let service_for = |word: &str| if word == "llm_timeout" { &hasty } else { &patient };
    let an_hour = Some(Duration::from_secs(3600));
    let status =
        |code| Reply::Status { code, headers: vec![], body: json!({"error": {"type": "x"}}).to_string() };
    let cases = [
        ("bad request", Reply::Unauthorized, "llm_error"),
        ("429 for an hour", Reply::RateLimited { retry_after: an_hour }, "llm_error"),
        ("429", Reply::RateLimited { retry_after: None }, "llm_error"),
        ("no money", Reply::SpendLimit, "llm_error"),
        ("500", Reply::ServerError, "llm_error"),
        ("502", status(502), "llm_error"),
        ("503", status(503), "llm_error"),
        ("529", Reply::Overloaded, "llm_error"),
        ("redirect", status(302), "llm_error"),
        ("hang", Reply::Hang, "llm_timeout"),
        (
            "later than the deadline",
            Reply::Answer(Answer::default()).after(Duration::from_secs(600)),
            "llm_timeout",
        ),
        ("reset", Reply::Reset, "llm_error"),
        ("half a body", Reply::HalfBody, "llm_error"),
        ("half a body in chunks", Reply::HalfChunked, "llm_error"),
        ("a compressed bomb", status_200(&" ".repeat(16 << 20)).encoded(Coding::Gzip), "llm_unusable"),
        ("not JSON", Reply::NotJson, "llm_unusable"),
        ("prose", Reply::Prose("I think it is an edit.".to_owned()), "llm_unusable"),
        ("missing fields", Reply::Json(json!({})), "llm_unusable"),
        ("wrong types", Reply::Json(json!({"prompt_type": 7})), "llm_unusable"),
        ("wrong enum", Reply::WrongEnum, "llm_unusable"),
        ("refusal", Reply::Refusal, "llm_unusable"),
        ("truncated", Reply::Truncated, "llm_unusable"),
        ("huge", Reply::Huge(64 << 20), "llm_unusable"),
    ];
    for (name, reply, word) in cases {
        mock.always(reply);
        let answer = service_for(word).process(edit(&format!("make the sky purple: {name}"))).await;
        assert_eq!(
            (&answer["source"], &answer["used_fallback"], &answer["degraded"], &answer["prompt_type"]),
            (&json!("local"), &json!(true), &json!([word]), &json!("EDIT_IMAGE")),
            "{name}: {answer}"
        );
    }
    for (name, fault, word) in [
        ("refused", Fault::Cut, "llm_error"),
        ("reset at once", Fault::Reset, "llm_error"),
        ("silent", Fault::BlackHole, "llm_timeout"),
        ("torn", Fault::CutAfter { bytes: 40 }, "llm_error"),
        ("replies lost", Fault::LoseReplies, "llm_timeout"),
    ] {
        mock.recover();
        proxy.set(fault).await;
        let answer = service_for(word).process(edit(&format!("make the sky purple: {name}"))).await;
        assert_eq!(
            (&answer["source"], &answer["degraded"]),
            (&json!("local"), &json!([word])),
            "{name}: {answer}"
        );
    }
    proxy.set(Fault::Pass).await;
    mock.answer_with(Answer::of("EDIT_IMAGE"));
    let healed = patient.process(edit("make the sky purple: 500")).await;
    assert_eq!((&healed["source"], &healed["degraded"]), (&json!("llm"), &json!([])), "{healed}");
    mock.push(Reply::Answer(Answer::of("VIDEO_EDIT")));
    let corrected = patient.process(edit("make the sea purple")).await;
    assert_eq!(
        (&corrected["corrected_from"], &corrected["prompt_type"], &corrected["degraded"]),
        (&json!("VIDEO_EDIT"), &json!("EDIT_IMAGE"), &json!([]))
    );
}

#[tokio::test]
async fn an_open_breaker_makes_no_call_and_closes_when_the_provider_recovers() {
    let mock = MockProvider::start().await.unwrap();
    mock.answer_with(Answer::of("EDIT_IMAGE"));
    mock.always(Reply::ServerError);
    let breaker = [
        LATE,
        ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "3"),
        ("CIRCUIT_BREAKER_TIMEOUT", "1"),
        ("CIRCUIT_BREAKER_SUCCESS_THRESHOLD", "1"),
        ("RATE_LIMIT_REQUESTS_PER_MINUTE", "0"),
        ("RATE_LIMIT_REQUESTS_PER_HOUR", "0"),
        ("RATE_LIMIT_GLOBAL_REQUESTS_PER_HOUR", "0"),
    ];
    let service = service(&mock.url(), &breaker).await;
    let mut asked = 0;
    until("the breaker opens", async || {
        asked += 1;
        service.process(edit(&format!("paint tree {asked}"))).await["circuit_breaker_state"] == "open"
    })
    .await;
    // An open breaker sends a probe from time to time, and this machine may be slow: each burst
    // makes at most one probe.
    let before = mock.count();
    let burst = (0..20).map(|index| service.process(edit(&format!("paint house {index}"))));
    let answers = futures_util::future::join_all(burst).await;
    let refused =
        answers.iter().filter(|answer| answer["degraded"] == json!(["breaker_open"])).count() as u64;
    assert!(refused > 0 && mock.count() - before <= 20 - refused, "{refused} of {}", mock.count() - before);
    assert!(answers.iter().all(|answer| answer["source"] == "local"));
    mock.recover();
    until("the breaker closes", async || {
        asked += 1;
        service.process(edit(&format!("paint tree {asked}"))).await["source"] == "llm"
    })
    .await;
}

#[tokio::test]
async fn calls_over_the_concurrency_limit_wait_within_their_deadline() {
    let mock = MockProvider::start().await.unwrap();
    let two = ("MAX_CONCURRENT_CLASSIFICATIONS", "2");
    let ask = async |service: &Service| {
        let asks = (0..20).map(|index| service.process(edit(&format!("make the sky purple {index}"))));
        futures_util::future::join_all(asks).await
    };
    // With enough time all of them are called, two at a time.
    mock.answer_with(Answer::of("EDIT_IMAGE"));
    mock.latency(Duration::from_millis(100));
    let answers = ask(&service(&mock.url(), &[two, LATE]).await).await;
    assert!(answers.iter().all(|answer| answer["source"] == "llm"), "{answers:?}");
    assert_eq!(mock.peak(), 2);
    // The two calls hang for as long as the other requests wait.
    mock.always(Reply::Hang);
    let answers = ask(&service(&mock.url(), &[two, ("CLASSIFICATION_TIMEOUT", "5")]).await).await;
    let words: BTreeSet<_> = answers.iter().map(|answer| answer["degraded"].to_string()).collect();
    let expected = [json!(["concurrency_limit"]).to_string(), json!(["llm_timeout"]).to_string()];
    assert!(words.contains(&expected[0]) && words.iter().all(|word| expected.contains(word)), "{words:?}");
    assert!(answers.iter().all(|answer| answer["prompt_type"] == "EDIT_IMAGE"));
}

#[tokio::test]
async fn the_call_of_a_client_that_disconnects_is_finished_cached_and_settled() {
    let mock = MockProvider::start().await.unwrap();
    let service = service(&mock.url(), &[LATE]).await;
    mock.answer_with(Answer::of("EDIT_IMAGE"));
    mock.push(Reply::Answer(Answer::of("EDIT_IMAGE")).after(Duration::from_millis(500)));
    let request = service.request(reqwest::Method::POST, "/api/v2/process");
    let asked = tokio::spawn(request.json(&edit("make the sky purple")).send());
    in_time("the call", mock.arrived(1)).await;
    asked.abort();
    assert!(asked.await.unwrap_err().is_cancelled());
    let used = async || {
        let usage = service.get("/api/v2/usage").await;
        let limits = usage["limits"].as_array().unwrap().clone();
        limits.iter().find(|limit| limit["unit"] == "usd").unwrap()["used"].as_f64().unwrap()
    };
    let reserved = used().await;
    let again = service.process(edit("make the sky purple")).await;
    assert_eq!(
        (&again["source"], &again["degraded"], mock.count()),
        (&json!("llm"), &json!([]), 1),
        "{again}"
    );
    // The estimate is an upper bound; the mock bills less.
    until("the call is settled", async || used().await < reserved).await;
    let spent = service.get("/api/v2/stats").await["cost_spent"].as_f64().unwrap();
    assert!((spent - used().await).abs() < 1e-6 && spent > 0.0, "{spent}");
}

#[tokio::test]
async fn an_error_with_status_200_is_retried_and_costs_nothing() {
    let mock = MockProvider::start().await.unwrap();
    mock.answer_with(Answer::of("EDIT_IMAGE"));
    let settings = [("CLASSIFICATION_TIMEOUT", "50"), ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "1000")];
    let service = service(&mock.url(), &settings).await;
    let spent = async || service.get("/api/v2/stats").await["cost_spent"].as_f64().unwrap();
    let used = async || {
        let usage = service.get("/api/v2/usage").await;
        let limits = usage["limits"].as_array().unwrap().clone();
        limits.iter().find(|limit| limit["unit"] == "usd").unwrap()["used"].as_f64().unwrap()
    };
    let under_200 = |body: Value| status_200(&body.to_string());
    let transient = [
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        json!({"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down"}}),
        json!({"error": {"code": 529, "message": "busy"}}),
        json!({"error": {"message": "upstream failed"}}),
        json!({"error": "Service unavailable"}),
    ];
    for body in &transient {
        let (calls, prompt) = (mock.count(), format!("make the sky purple: {body}"));
        mock.always(under_200(body.clone()));
        let failed = service.process(edit(&prompt)).await;
        assert_eq!(failed["degraded"], json!(["llm_error"]), "{body}: {failed}");
        assert!(mock.count() > calls + 1, "{body}: it is tried again");
        let calls = mock.count();
        mock.always(under_200(json!({"error": {"type": "invalid_request_error", "message": "no"}})));
        assert_eq!(service.process(edit(&prompt)).await["degraded"], json!(["llm_error"]));
        assert_eq!(mock.count(), calls + 1, "a rejected request is not tried again");
        mock.recover();
    }
    until("all reservations are given back", async || used().await == 0.0).await;
    assert!(spent().await.abs() < 1e-9, "no dollar is spent");
    mock.push(under_200(transient[0].clone()));
    let answer = service.process(edit("make the sky purple")).await;
    assert_eq!((&answer["source"], &answer["degraded"]), (&json!("llm"), &json!([])), "{answer}");
}

#[tokio::test]
async fn a_date_in_retry_after_is_respected() {
    let mock = MockProvider::start().await.unwrap();
    let service = service(&mock.url(), &[("CLASSIFICATION_TIMEOUT", "50")]).await;
    let headers = vec![
        ("date".to_owned(), "Fri, 31 Dec 1999 23:00:00 GMT".to_owned()),
        ("retry-after".to_owned(), "Sat, 01 Jan 2000 00:00:00 GMT".to_owned()),
    ];
    mock.always(Reply::Status { code: 429, headers, body: "{}".to_owned() });
    let answer = service.process(edit("make the sky purple")).await;
    assert_eq!(answer["degraded"], json!(["llm_error"]), "{answer}");
    assert_eq!(mock.count(), 1, "an hour is longer than the deadline");
}
