//! Anthropic Messages: the requests, and the meaning of answers and errors.

use picarcade_intent::{Anthropic, ConfigError, Provider, ProviderErrorKind, Unusable};
use picarcade_testkit::{Answer, MockProvider, Reply};
use serde_json::json;

use crate::support::{ask, key, last_body, request};

async fn mock() -> (MockProvider, Anthropic) {
    let mock = MockProvider::start().await.unwrap();
    mock.answer_with(Answer::of("EDIT_IMAGE").enhanced("Make the sky purple. Keep the rest."));
    let provider = Anthropic::builder(key()).base_url(mock.url()).model("claude-haiku-4-5").build().unwrap();
    (mock, provider)
}

fn status(code: u16, body: &serde_json::Value) -> Reply {
    let headers = vec![("request-id".to_owned(), "req_test".to_owned())];
    Reply::Status { code, headers, body: body.to_string() }
}

#[tokio::test]
async fn a_forced_tool_is_asked_for_and_read() {
    let (mock, provider) = mock().await;
    let answer = ask(&provider, &request("make the sky \"purple\"\n", "i")).await.unwrap();
    assert_eq!(answer.prompt_type.as_str(), "EDIT_IMAGE");
    assert_eq!(answer.enhanced_prompt, "Make the sky purple. Keep the rest.");
    insta::assert_json_snapshot!(last_body(&mock));
    let sent = mock.requests().pop().unwrap();
    assert_eq!(sent.path, "/v1/messages");
    assert_eq!(sent.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(sent.header("x-api-key"), Some(crate::support::KEY));
}

#[tokio::test]
async fn models_that_think_get_a_schema_and_no_temperature() {
    let (mock, _) = mock().await;
    let provider = Anthropic::builder(key()).base_url(mock.url()).build().unwrap();
    let answer = ask(&provider, &request("give her @hat", "iur")).await.unwrap();
    assert_eq!(answer.prompt_type.as_str(), "EDIT_IMAGE");
    insta::assert_json_snapshot!(last_body(&mock));
}

#[tokio::test]
async fn cached_instructions_are_cheaper_the_second_time() {
    let (_mock, provider) = mock().await;
    let request = request("make the sky purple", "i");
    let first = ask(&provider, &request).await.unwrap().cost_micros;
    let second = ask(&provider, &request).await.unwrap().cost_micros;
    assert!(second < first, "{second} < {first}");
    assert!(first <= provider.estimate_micros(&request));
}

#[tokio::test]
async fn usage_is_priced_by_kind_of_token() {
    let (mock, provider) = mock().await;
    mock.push(status(
        200,
        &json!({
            "stop_reason": "tool_use",
            "content": [{"type": "tool_use", "name": "classify_request", "input": Answer::default().to_json()}],
            "usage": {
                "input_tokens": 100, "cache_creation_input_tokens": 1_000,
                "cache_read_input_tokens": 2_000, "output_tokens": 50,
            },
        }),
    ));
    let answer = ask(&provider, &request("a fox", "")).await.unwrap();
    assert_eq!(answer.cost_micros, 100 + 1_250 + 200 + 250);
}

#[tokio::test]
async fn stop_reasons_are_not_answers() {
    let (mock, provider) = mock().await;
    for (reply, reason) in [(Reply::Refusal, Unusable::Refusal), (Reply::Truncated, Unusable::Truncated)] {
        mock.push(reply);
        let error = ask(&provider, &request("a fox", "")).await.unwrap_err();
        assert_eq!(error.kind, ProviderErrorKind::Unusable(reason));
        assert!(error.cost_micros.unwrap() > 0, "it is billed");
    }
    let usage = json!({"input_tokens": 10, "output_tokens": 1});
    for (body, reason) in [
        (json!({"stop_reason": "end_turn", "content": [], "usage": usage}), Unusable::Missing),
        (
            json!({"stop_reason": "model_context_window_exceeded", "content": [], "usage": usage}),
            Unusable::Truncated,
        ),
        (json!({"content": []}), Unusable::Missing),
        (json!({"usage": usage}), Unusable::Malformed),
    ] {
        mock.push(status(200, &body));
        let error = ask(&provider, &request("a fox", "")).await.unwrap_err();
        assert_eq!(error.kind, ProviderErrorKind::Unusable(reason), "{body}");
        assert_eq!(error.detail, format!("{}, request req_test", reason.as_str()));
    }
}

#[tokio::test]
async fn every_error_type_has_its_meaning() {
    use ProviderErrorKind as K;
    let (mock, provider) = mock().await;
    let error =
        |kind: &str, message: &str| json!({"type": "error", "error": {"type": kind, "message": message}});
    let spent = json!({
        "type": "error",
        "error": {
            "type": "rate_limit_error", "message": "limit",
            "details": {"error_code": "enforced_spend_limit_reached"},
        },
    });
    for (code, body, kind) in [
        (400, error("invalid_request_error", "messages: too long"), K::Rejected),
        (
            400,
            error("invalid_request_error", "You have reached your specified API usage limits."),
            K::SpendLimit,
        ),
        (
            400,
            error("invalid_request_error", "Your credit balance is too low to access the API."),
            K::SpendLimit,
        ),
        (401, error("authentication_error", "invalid x-api-key"), K::Auth),
        (402, error("billing_error", "pay"), K::SpendLimit),
        (403, error("permission_error", "no"), K::Auth),
        (404, error("not_found_error", "model: claude-x"), K::Auth),
        (413, error("request_too_large", "large"), K::Rejected),
        (429, error("rate_limit_error", "slow down"), K::RateLimited),
        (429, spent, K::SpendLimit),
        (500, error("api_error", "sorry"), K::Server),
        (504, error("timeout_error", "late"), K::Timeout),
        (529, error("overloaded_error", "busy"), K::Overloaded),
        (502, json!("<html>"), K::Server),
        (307, json!({}), K::Server),
    ] {
        mock.push(status(code, &body));
        let error = ask(&provider, &request("a fox", "")).await.unwrap_err();
        assert_eq!((error.kind, error.status), (kind, Some(code)), "{body}");
        assert!(error.detail.contains("request req_test"), "{}", error.detail);
    }
}

#[tokio::test]
async fn messages_of_the_provider_are_not_repeated() {
    let (mock, provider) = mock().await;
    let message = format!("invalid key {} in: my private words", crate::support::KEY);
    mock.push(status(401, &json!({"error": {"type": "authentication_error", "message": message}})));
    let error = ask(&provider, &request("my private words", "")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "auth failure of the provider: status 401 authentication_error, request req_test"
    );
}

#[test]
fn invalid_settings_are_rejected() {
    let build = |base: &str, model: &str| Anthropic::builder(key()).base_url(base).model(model).build();
    assert!(matches!(build("nowhere", "claude-haiku-4-5"), Err(ConfigError::BaseUrl(_))));
    assert_eq!(build("https://api.anthropic.com", " ").unwrap_err(), ConfigError::Model);
    assert_eq!(Anthropic::builder("".into()).build().unwrap_err(), ConfigError::ApiKey);
}
