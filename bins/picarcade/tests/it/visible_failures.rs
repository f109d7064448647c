//! What an operator sees of a failing AI and of a used-up budget: in the log, in health, in the
//! metrics and in the statistics.

use picarcade_testkit::{Answer, MockProvider, Reply, stay_within_one_day};
use reqwest::Method;
use serde_json::{Value, json};

use crate::service::{AMPLE, Service, until, with};

/// A breaker that does not hide the failures.
const NEVER_OPENS: (&str, &str) = ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "1000");

async fn service(mock: &MockProvider, more: &[(&str, &str)]) -> Service {
    let url = mock.url();
    let environment = [("ANTHROPIC_API_KEY", "secret-ai-key"), ("ANTHROPIC_BASE_URL", &*url)];
    Service::start(&with(&with(&environment, &AMPLE), more)).await
}

/// Asks for the answer of an AI to a prompt that no other request has.
async fn ask(service: &Service, index: usize) -> Value {
    service.process(json!({"prompt": format!("make the sky purple {index}"), "active_image": true})).await
}

/// Returns the lines of the log with this message.
fn lines(service: &Service, message: &str) -> Vec<Value> {
    let records = service.log().into_iter().map(|line| serde_json::from_str::<Value>(&line).unwrap());
    records.filter(|record| record["message"] == message).collect()
}

async fn metrics(service: &Service) -> String {
    service.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn each_kind_of_failure_is_logged_once_with_its_reason_and_so_is_the_recovery() {
    let mock = MockProvider::start().await.unwrap();
    mock.answer_with(Answer::of("EDIT_IMAGE"));
    let service = service(&mock, &[NEVER_OPENS, ("CLASSIFICATION_TIMEOUT", "1")]).await;
    let status = |code, kind: &str, message: &str| Reply::Status {
        code,
        headers: vec![],
        body: json!({"type": "error", "error": {"type": kind, "message": message}}).to_string(),
    };
    let cases = [
        (
            "rejected",
            Some(400),
            status(400, "invalid_request_error", "Invalid model name passed in model=haiku-typo"),
            "Invalid model name passed in model=haiku-typo",
        ),
        (
            "auth",
            Some(401),
            status(401, "authentication_error", "invalid x-api-key secret-ai-key"),
            "detail removed",
        ),
        ("auth", Some(403), status(403, "permission_error", "no access"), "permission_error: no access"),
        ("auth", Some(404), status(404, "not_found_error", "model: claude-typo"), "model: claude-typo"),
        ("rate_limited", Some(429), status(429, "rate_limit_error", "slow down"), "slow down"),
        ("server", Some(500), status(500, "api_error", "my words: sky purple"), "my words: ..."),
        ("timeout", None, Reply::Hang, ""),
    ];
    for (index, (kind, code, reply, reason)) in cases.into_iter().enumerate() {
        mock.always(reply);
        for attempt in 0..3 {
            ask(&service, 10 * index + attempt).await;
        }
        let began = lines(&service, "AI calls began to fail");
        assert_eq!(began.len(), index + 1, "{began:#?}");
        let line = &began[index];
        assert_eq!((&line["level"], &line["kind"]), (&json!("WARN"), &json!(kind)), "{line}");
        assert_eq!(line["status"], code.map_or(Value::Null, Value::from), "{line}");
        assert!(line["reason"].as_str().unwrap().contains(reason), "{line}");
        assert_eq!((&line["provider"], line["model"].is_string()), (&json!("anthropic"), true), "{line}");
        let health = service.get("/health/detailed").await["components"]["flow"].clone();
        assert_eq!((&health["status"], &health["last_error"]), (&json!("degraded"), &json!("ai_failing")));
        let failures = &health["details"]["ai_failures"];
        assert_eq!((&failures["kind"], &failures["in_a_row"]), (&json!(kind), &json!(3)), "{health}");
        assert_eq!(failures["message"], line["reason"]);
        mock.recover();
        ask(&service, 10 * index + 9).await;
        assert_eq!(lines(&service, "AI calls succeed again").len(), index + 1);
        let health = service.get("/health/detailed").await["components"]["flow"].clone();
        assert_eq!((&health["status"], &health["details"]["ai_failures"]), (&json!("healthy"), &json!(null)));
    }
    mock.always(status(401, "authentication_error", ""));
    ask(&service, 100).await;
    mock.always(status(500, "api_error", ""));
    ask(&service, 101).await;
    ask(&service, 102).await;
    assert_eq!(lines(&service, "AI calls fail differently").len(), 1);
    for line in service.log() {
        assert!(!line.contains("secret") && !line.contains("purple"), "{line}");
    }
    let text = metrics(&service).await;
    for series in [
        r#"picarcade_answers_total{source="local",degraded="llm_error",type="EDIT_IMAGE"} 21"#,
        r#"picarcade_answers_total{source="local",degraded="llm_timeout",type="EDIT_IMAGE"} 3"#,
        r#"picarcade_answers_total{source="llm",degraded="none",type="EDIT_IMAGE"} 7"#,
        r#"picarcade_ai_errors_total{provider="anthropic",kind="rejected"} 3"#,
        r#"picarcade_ai_errors_total{provider="anthropic",kind="auth"} 10"#,
        r#"picarcade_ai_call_duration_seconds_bucket{provider="anthropic",le="30"}"#,
    ] {
        assert!(text.contains(series), "{series} is missing:\n{text}");
    }
}

#[tokio::test]
async fn each_change_of_a_breaker_is_logged_with_its_cause() {
    let mock = MockProvider::start().await.unwrap();
    mock.answer_with(Answer::of("EDIT_IMAGE"));
    mock.always(Reply::Unauthorized);
    let environment = [
        ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "3"),
        ("CIRCUIT_BREAKER_TIMEOUT", "1"),
        ("CIRCUIT_BREAKER_SUCCESS_THRESHOLD", "1"),
        ("PICARCADE_ADMIN_TOKEN", "root-token"),
    ];
    let service = service(&mock, &environment).await;
    let mut index = 0;
    until("the breaker opens", async || {
        index += 1;
        ask(&service, index).await["circuit_breaker_state"] == "open"
    })
    .await;
    let opened = lines(&service, "circuit breaker rejects calls");
    let [line] = &opened[..] else { panic!("{opened:#?}") };
    assert_eq!(
        (&line["level"], &line["breaker"], &line["cause"]),
        (&json!("WARN"), &json!("anthropic"), &json!("consecutive_failures"))
    );
    mock.recover();
    until("the breaker closes", async || {
        index += 1;
        ask(&service, index).await["source"] == "llm"
    })
    .await;
    let request = service.request(Method::POST, "/admin/breakers/anthropic/force-open");
    assert_eq!(request.bearer_auth("root-token").send().await.unwrap().status(), 200);
    let rejects = lines(&service, "circuit breaker rejects calls");
    assert_eq!(rejects.last().unwrap()["cause"], "manual", "{rejects:#?}");
    let changes = lines(&service, "circuit breaker changed its state");
    let to: Vec<_> = changes.iter().map(|line| line["to"].as_str().unwrap()).collect();
    assert!(to.contains(&"half_open") && to.last() == Some(&"closed"), "{changes:#?}");
    assert!(changes.iter().all(|line| line["level"] == "INFO"), "{changes:#?}");
}

#[tokio::test]
async fn a_budget_that_is_used_up_is_seen_everywhere() {
    stay_within_one_day();
    let service = Service::start(&with(&AMPLE, &[("COST_LIMIT_GLOBAL_PER_DAY", "0.1")])).await;
    let reserve = async || {
        let body = json!({"prompt": "make the sky purple", "active_image": true, "reserve": true});
        service.post("/api/v2/process", &body).await.0
    };
    for _ in 0..3 {
        assert_eq!(reserve().await, 200);
    }
    let limiter = async || service.get("/health/detailed").await["components"]["rate_limiter"].clone();
    let near = "the budget of all users is nearly used up";
    until("90 percent are known", async || !lines(&service, near).is_empty()).await;
    let health = limiter().await;
    assert_eq!(health["status"], "healthy", "{health}");
    assert_eq!(
        health["details"]["budgets"],
        json!([{"window": "utc-day", "limit": 0.1, "spent": 0.0, "reserved": 0.09}])
    );
    let reason = health["details"]["reason"].as_str().unwrap();
    assert!(reason.contains("nearly used up") && reason.contains("$0.0900 is reserved"), "{reason}");

    assert_eq!(reserve().await, 429);
    until("the refusal is seen", async || limiter().await["status"] == "degraded").await;
    let health = limiter().await;
    assert_eq!(health["last_error"], "budget_reached", "{health}");
    let reason = health["details"]["reason"].as_str().unwrap();
    assert!(reason.contains("is reached: paid calls are refused"), "{reason}");
    for message in [near, "the budget of all users is reached: paid calls are refused"] {
        let found = lines(&service, message);
        let [line] = &found[..] else { panic!("{found:#?}") };
        assert_eq!(
            (&line["level"], &line["limit"], &line["spent"], &line["reserved"]),
            (&json!("WARN"), &json!(0.1), &json!(0.0), &json!(0.09)),
            "{line}"
        );
    }
    let text = metrics(&service).await;
    for (name, value) in [("limit", "0.1"), ("used", "0.09"), ("spent", "0"), ("reserved", "0.09")] {
        let series = format!("picarcade_budget_{name}_dollars{{window=\"utc-day\"}} {value}\n");
        assert!(text.contains(&series), "{series} is missing:\n{text}");
    }
    let budget = service.get("/api/v2/stats").await["budget"].clone();
    assert_eq!(
        (&budget["per_day"], &budget["spent"], &budget["reserved"]),
        (&json!(0.1), &json!(0.0), &json!(0.09)),
        "{budget}"
    );
    assert!((budget["used_percent"].as_f64().unwrap() - 90.0).abs() < 1e-9, "{budget}");
}

#[tokio::test]
async fn the_access_log_has_one_line_for_each_request_with_its_decision() {
    let service = Service::start(&[("PICARCADE_ACCESS_LOG", "true")]).await;
    // More than the throttle lets pass.
    for index in 0..30 {
        let body = json!({"prompt": format!("make the sky purple {}", index / 2), "active_image": true,
            "user_id": "secret-ann", "session_id": "secret-session"});
        let request = service.request(Method::POST, "/api/v2/process");
        let request = request.header("x-request-id", format!("id-{index}")).json(&body);
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    let request = service.request(Method::POST, "/api/v2/process").header("x-request-id", "id-wrong");
    assert_eq!(request.json(&json!({"prompt": ""})).send().await.unwrap().status(), 422);
    let request = service.request(Method::POST, "/api/v2/classify-only").header("x-request-id", "id-only");
    let body = json!({"prompt": "make the sky purple 0", "active_image": true});
    assert_eq!(request.json(&body).send().await.unwrap().status(), 200);
    let line = |id: &str| {
        let of_id: Vec<_> =
            lines(&service, "answered").into_iter().filter(|line| line["request_id"] == id).collect();
        assert_eq!(of_id.len(), 1, "{id}: {of_id:#?}");
        of_id[0].clone()
    };
    until("the last line is there", async || service.log().last().unwrap().contains("id-only")).await;
    for index in 0..30 {
        let line = line(&format!("id-{index}"));
        let expected = json!({
            "level": "INFO", "target": "picarcade::access", "method": "POST", "route": "/api/v2/process",
            "status": 200, "source": "local", "prompt_type": "EDIT_IMAGE",
            "intent_cache": if index % 2 == 0 { "miss" } else { "l1" }, "degraded": "",
        });
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&line[field], value, "{field}: {line}");
        }
        assert!(line["micros"].is_u64() && line["estimated_cost"].as_f64() > Some(0.0), "{line}");
        assert!(line["enhancement_cache"].is_string() && line["parameters_cache"].is_string(), "{line}");
    }
    let wrong = line("id-wrong");
    assert_eq!((&wrong["status"], &wrong["source"]), (&json!(422), &json!(null)));
    let only = line("id-only");
    assert_eq!((&only["source"], &only["prompt_type"]), (&json!("local"), &json!("EDIT_IMAGE")));
    let log = service.log().join("\n");
    assert!(!log.contains("secret") && !log.contains("purple"), "{log}");
}
