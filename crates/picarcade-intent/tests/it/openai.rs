//! Chat completions: the requests, and the meaning of answers and errors.

use picarcade_intent::{OpenAi, Provider, ProviderErrorKind, Unusable};
use picarcade_testkit::{Answer, MockProvider, Reply};
use serde_json::{Value, json};

use crate::support::{ask, key, last_body, request};

async fn mock() -> (MockProvider, OpenAi) {
    let mock = MockProvider::start().await.unwrap();
    mock.answer_with(Answer::of("NEW_VIDEO"));
    let provider = OpenAi::builder(key()).base_url(mock.url()).build().unwrap();
    (mock, provider)
}

fn completion(message: &Value, finish: &str) -> Reply {
    let usage = json!({
        "prompt_tokens": 2_000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 1_500},
    });
    let body = json!({"choices": [{"message": message, "finish_reason": finish}], "usage": usage});
    Reply::Status { code: 200, headers: Vec::new(), body: body.to_string() }
}

#[tokio::test]
async fn a_schema_is_asked_for_and_its_answer_read() {
    let (mock, provider) = mock().await;
    let request = request("a fox running", "");
    let answer = ask(&provider, &request).await.unwrap();
    assert_eq!(answer.prompt_type.as_str(), "NEW_VIDEO");
    assert!(answer.cost_micros > 0 && answer.cost_micros <= provider.estimate_micros(&request));
    insta::assert_json_snapshot!(last_body(&mock));
    let sent = mock.requests().pop().unwrap();
    assert_eq!(sent.path, "/v1/chat/completions");
    assert_eq!(sent.header("authorization"), Some("Bearer sk-very-secret-key"));
}

#[tokio::test]
async fn an_unknown_model_gets_the_fields_that_all_servers_know() {
    let (mock, _) = mock().await;
    let base = format!("{}/v1", mock.url());
    let provider = OpenAi::builder(key()).base_url(base).model("qwen3-8b").build().unwrap();
    ask(&provider, &request("a fox", "")).await.unwrap();
    let body = last_body(&mock);
    assert!(body["max_tokens"].is_u64());
    for field in ["temperature", "reasoning_effort", "max_completion_tokens"] {
        assert!(body.get(field).is_none(), "{field}");
    }
}

#[tokio::test]
async fn cached_tokens_are_part_of_the_prompt_tokens() {
    let (mock, provider) = mock().await;
    mock.push(completion(&json!({"content": Answer::default().to_json().to_string()}), "stop"));
    let answer = ask(&provider, &request("a fox", "")).await.unwrap();
    // 500 at 0.20, 1,500 at 0.02 and 100 at 1.20 dollars a million.
    assert_eq!(answer.cost_micros, 100 + 30 + 120);

    let content = Answer::default().to_json().to_string();
    let body = |details: Value| {
        let usage =
            json!({"prompt_tokens": 2_000, "completion_tokens": 100, "prompt_tokens_details": details});
        let message = json!({"message": {"content": content}, "finish_reason": "stop"});
        json!({"choices": [message], "usage": usage}).to_string()
    };
    for (details, cost) in [
        // Writing costs 0.25 dollars a million.
        (json!({"cached_tokens": 0, "cache_write_tokens": 1_600}), 80 + 400 + 120),
        (json!({"cached_tokens": 1_600, "cache_write_tokens": 200}), 40 + 32 + 50 + 120),
        (json!(null), 400 + 120),
        // More cached tokens than prompt tokens: no token is paid for twice.
        (json!({"cached_tokens": 9_999, "cache_write_tokens": 9_999}), 40 + 120),
    ] {
        mock.push(Reply::Status { code: 200, headers: Vec::new(), body: body(details.clone()) });
        let answer = ask(&provider, &request("a fox", "")).await.unwrap();
        assert_eq!(answer.cost_micros, cost, "{details}");
    }
}

#[tokio::test]
async fn answers_are_found_in_every_known_place() {
    let (mock, provider) = mock().await;
    let object = Answer::of("NEW_VIDEO").to_json().to_string();
    let call = json!([{"function": {"name": "classify_request", "arguments": object}}]);
    for message in [
        json!({"content": format!("```json\n{object}\n```")}),
        json!({"content": null, "tool_calls": call}),
        json!({"content": "", "tool_calls": call, "refusal": null}),
        json!({"content": object, "refusal": ""}),
    ] {
        mock.push(completion(&message, "stop"));
        assert!(ask(&provider, &request("a fox", "")).await.is_ok(), "{message}");
    }
}

#[tokio::test]
async fn refusals_and_truncated_answers_are_unusable() {
    let (mock, provider) = mock().await;
    for (message, finish, reason) in [
        (json!({"content": null, "refusal": "I can't."}), "stop", Unusable::Refusal),
        (json!({"content": ""}), "content_filter", Unusable::Refusal),
        (json!({"content": "{\"prompt_type\""}), "length", Unusable::Truncated),
        (json!({"content": "{\"prompt_type\""}), "stop", Unusable::Truncated),
        (json!({"content": null}), "stop", Unusable::Missing),
        (json!({"content": "sure!"}), "stop", Unusable::Malformed),
    ] {
        mock.push(completion(&message, finish));
        let error = ask(&provider, &request("a fox", "")).await.unwrap_err();
        assert_eq!(error.kind, ProviderErrorKind::Unusable(reason), "{message}");
        assert_eq!(error.cost_micros, Some(250));
    }
}

#[tokio::test]
async fn a_spend_limit_is_distinguished_from_a_rate_limit() {
    use ProviderErrorKind as K;
    let (mock, provider) = mock().await;
    for (code, kind, error_code, means) in [
        (429, "requests", "rate_limit_exceeded", K::RateLimited),
        (429, "insufficient_quota", "insufficient_quota", K::SpendLimit),
        (429, "insufficient_quota", "project_spend_limit_exceeded", K::SpendLimit),
        (401, "invalid_request_error", "invalid_api_key", K::Auth),
        (404, "invalid_request_error", "model_not_found", K::Auth),
        (400, "invalid_request_error", "context_length_exceeded", K::Rejected),
        (503, "server_error", "overloaded", K::Overloaded),
        (500, "server_error", "oops", K::Server),
    ] {
        let body = json!({"error": {"message": "m", "type": kind, "code": error_code}}).to_string();
        let headers = vec![("retry-after".to_owned(), "3".to_owned())];
        mock.push(Reply::Status { code, headers, body });
        let error = ask(&provider, &request("a fox", "")).await.unwrap_err();
        assert_eq!(error.kind, means, "{error_code}");
        assert_eq!(error.retry_after.is_none(), means == K::SpendLimit, "{error_code}");
        assert!(error.detail.contains(error_code));
    }
}
