//! Which callers move money and breakers, and how much of a bill is accepted.

use jsonwebtoken::Algorithm;
use picarcade_testkit::{MockProvider, Reply};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::database::{migrated, settled, shared};
use crate::identity::{SECRET, token};
use crate::service::{Service, in_time};

/// The estimated cost of the generation that these tests reserve, in dollars.
const ESTIMATE: f64 = 0.03;

async fn json_of(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// Returns how much of the dollar limits is used: of the caller, and of all users.
async fn dollars(request: RequestBuilder) -> Vec<f64> {
    let (status, usage) = json_of(request).await;
    assert_eq!(status, 200, "{usage}");
    let limits = usage["limits"].as_array().unwrap().iter();
    limits.filter(|limit| limit["unit"] == "usd").map(|limit| limit["used"].as_f64().unwrap()).collect()
}

fn near(left: f64, right: f64) -> bool {
    (left - right).abs() < 1e-6
}

fn reserve() -> Value {
    json!({"prompt": "make the sky purple", "active_image": true, "reserve": true})
}

#[tokio::test]
async fn an_end_users_report_moves_no_money_and_no_breaker() {
    let environment = [
        ("PICARCADE_JWT_SECRET", SECRET),
        ("PICARCADE_API_KEYS", "web:key-of-the-web-app"),
        ("PICARCADE_ADMIN_TOKEN", "root"),
    ];
    let service = Service::start(&environment).await;
    let bearer = token(Algorithm::HS256, SECRET, &json!({"sub": "ann"}));
    let as_user = |method, path: &str| service.request(method, path).bearer_auth(&bearer);
    let used = async || dollars(as_user(Method::GET, "/api/v2/usage")).await;
    let breaker = async || {
        let (_, breakers) =
            json_of(service.request(Method::GET, "/admin/breakers").bearer_auth("root")).await;
        let breakers = breakers["breakers"].as_array().unwrap().clone();
        let replicate = breakers.into_iter().find(|breaker| breaker["name"] == "replicate").unwrap();
        (replicate["state"].clone(), replicate["success"].clone(), replicate["failure"].clone())
    };
    let before = breaker().await;
    let mut generations = Vec::new();
    for report in [
        json!({"success": true, "actual_cost": 1_000_000}),
        json!({"success": true, "actual_cost": 0}),
        json!({"success": false, "error_kind": "provider_error", "retry_after": 604_800}),
        json!({"success": false, "error_kind": "rate_limited", "retry_after": 604_800}),
        json!({"success": false, "actual_cost": 1_000_000}),
        json!({"success": false}),
    ] {
        let (status, answer) = json_of(as_user(Method::POST, "/api/v2/process").json(&reserve())).await;
        assert_eq!(status, 200, "{answer}");
        let outcome = format!("/api/v2/generations/{}/outcome", answer["generation_id"].as_str().unwrap());
        for _ in 0..3 {
            let (status, reported) = json_of(as_user(Method::POST, &outcome).json(&report)).await;
            assert_eq!((status, reported), (200, json!({"status": "recorded"})), "{report}");
        }
        generations.push(outcome);
        let expected = generations.len() as f64 * ESTIMATE;
        assert!(used().await.iter().all(|used| near(*used, expected)), "{report}: {:?}", used().await);
        assert_eq!(breaker().await, before, "{report}");
    }
    // The operator's reports still settle, and count.
    for outcome in &generations {
        let request = service.request(Method::POST, outcome).header("x-api-key", "key-of-the-web-app");
        let report = json!({"success": true, "actual_cost": 0.01, "user_id": "ann"});
        let (status, reported) = json_of(request.json(&report)).await;
        assert_eq!((status, &reported["settlement"]), (200, &json!("settled")), "{reported}");
    }
    assert!(used().await.iter().all(|used| near(*used, 0.06)), "{:?}", used().await);
    assert_eq!(breaker().await.1, json!(generations.len()));
}

#[tokio::test]
async fn without_identities_a_client_on_the_network_moves_no_money() {
    let arguments = ["--insecure", "--listen", "0.0.0.0:0"];
    let service = Service::start_in(TempDir::new().unwrap(), &[], &arguments).await;
    let url = service.url.replace("0.0.0.0", "127.0.0.1");
    let (_, answer) = json_of(service.client.post(format!("{url}/api/v2/process")).json(&reserve())).await;
    let id = answer["generation_id"].as_str().unwrap();
    let outcome = service.client.post(format!("{url}/api/v2/generations/{id}/outcome"));
    let reported = json_of(outcome.json(&json!({"success": true, "actual_cost": 0}))).await;
    assert_eq!(reported, (200, json!({"status": "recorded"})));
    let used = dollars(service.client.get(format!("{url}/api/v2/usage"))).await;
    assert!(used.iter().all(|used| near(*used, ESTIMATE)), "{used:?}");
}

#[tokio::test]
async fn an_operators_absurd_cost_is_charged_at_its_limit_and_flagged() {
    let server = shared().await;
    let url = migrated(server).await;
    let service = Service::start(&[("DATABASE_URL", &url)]).await;
    let mut expected = 0.0;
    for (report, charged, flag) in [
        (json!({"success": true, "actual_cost": 1_000_000}), 0.6, json!("too_high")),
        (json!({"success": false, "actual_cost": 1_000_000}), 0.6, json!("too_high")),
        (json!({"success": true, "actual_cost": 0}), 0.03, json!("too_low")),
        (json!({"success": false, "actual_cost": 0}), 0.0, Value::Null),
        (json!({"success": true, "actual_cost": 0.6}), 0.6, Value::Null),
    ] {
        let answer = service.process(reserve()).await;
        let outcome = format!("/api/v2/generations/{}/outcome", answer["generation_id"].as_str().unwrap());
        let (status, reported) = service.post(&outcome, &report).await;
        assert_eq!((status, &reported["settlement"]), (200, &json!("settled")), "{report}");
        assert_eq!(reported["cost_flag"], flag, "{report}");
        expected += charged;
        let used = dollars(service.request(Method::GET, "/api/v2/usage")).await;
        assert!(used.iter().all(|used| near(*used, expected)), "{report}: {used:?}");
    }
    settled(&service).await;
    let sql = "SELECT error_message, sum(actual_cost_micros) FROM cost_tracking GROUP BY 1 ORDER BY 1";
    let rows = server.psql_at(&url, sql).await.unwrap();
    assert_eq!(rows.trim(), "cost_too_high|1200000\ncost_too_low|30000\n|600000");
}

/// Returns a message of the AI with this content, stop reason and token counts.
fn message(content: &Value, stop_reason: &str, tokens: &Value) -> Reply {
    let body = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content,
        "stop_reason": stop_reason, "usage": {"input_tokens": tokens, "output_tokens": tokens},
    });
    Reply::Status { code: 200, headers: vec![], body: body.to_string() }
}

#[tokio::test]
async fn an_absurd_bill_of_the_ai_is_capped_for_every_kind_of_answer() {
    let mock = MockProvider::start().await.unwrap();
    let mock_url = mock.url();
    let environment = [
        ("ANTHROPIC_API_KEY", "k"),
        ("ANTHROPIC_BASE_URL", &*mock_url),
        ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "1000"),
    ];
    let service = Service::start(&environment).await;
    let text = |text: &str| json!([{"type": "text", "text": text}]);
    let usable =
        json!({"prompt_type": "EDIT_IMAGE", "reasoning": "r", "confidence": 0.9, "enhanced_prompt": "x"});
    let answers = [
        ("usable", text(&usable.to_string()), "end_turn"),
        ("refused", text("I cannot help with that."), "refusal"),
        ("truncated", text("{\"prompt_type\":"), "max_tokens"),
        ("not JSON", text("a purple sky"), "end_turn"),
        ("empty", json!([]), "end_turn"),
    ];
    let mut estimate = None;
    for (name, content, stop_reason) in answers {
        for (index, tokens) in
            [json!(0), json!(1), json!(1_u64 << 53), json!(u64::MAX), json!(1e300)].iter().enumerate()
        {
            mock.push(message(&content, stop_reason, tokens));
            // Each bill has a user of its own, so that nothing comes from the cache and each bill
            // is observed separately.
            let (calls, user) = (mock.count(), format!("{name} {index}"));
            service
                .process(json!({"prompt": "make the sky purple", "active_image": true, "user_id": user}))
                .await;
            assert_eq!(mock.count(), calls + 1, "{user}");
            let usage = service.request(Method::GET, "/api/v2/usage").header("x-user-id", &user);
            let used = dollars(usage).await[0];
            // The first bill is zero, which is charged at the estimate.
            let estimate = *estimate.get_or_insert(used);
            assert!(
                estimate > 0.0 && used > estimate - 1e-6 && used < estimate * 20.0 + 1e-6,
                "{user}: {used}"
            );
        }
    }
}

#[tokio::test]
async fn a_stop_that_cuts_a_paid_call_leaves_a_row_of_its_cost() {
    let mock = MockProvider::start().await.unwrap();
    let mock_url = mock.url();
    let environment = [
        ("ANTHROPIC_API_KEY", "k"),
        ("ANTHROPIC_BASE_URL", &*mock_url),
        ("CLASSIFICATION_TIMEOUT", "3000"),
        ("PICARCADE_SHUTDOWN_TIMEOUT", "3"),
    ];
    let mut service = Service::start(&environment).await;
    mock.always(Reply::Hang);
    let body = json!({"prompt": "make the sky purple", "active_image": true});
    let asked = tokio::spawn(service.request(Method::POST, "/api/v2/process").json(&body).send());
    in_time("the call", mock.arrived(1)).await;
    let reserved = dollars(service.request(Method::GET, "/api/v2/usage")).await;
    service.signal("TERM");
    assert_eq!(service.ended().await.code(), Some(0));
    asked.abort();
    let service = Service::start_in(service.directory, &[], &[]).await;
    let spent = service.get("/api/v2/stats").await["cost_spent"].as_f64().unwrap();
    assert!(spent > 0.0 && reserved.iter().all(|reserved| near(*reserved, spent)), "{spent} {reserved:?}");
}
