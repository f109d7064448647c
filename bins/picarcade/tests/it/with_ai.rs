//! The mock provider in the place of Anthropic: used, corrected, cached, replaced.

use picarcade_testkit::{Answer, Coding, MockProvider, Reply};
use serde_json::json;

use crate::database::settled;
use crate::service::Service;

async fn service(mock: &MockProvider) -> Service {
    Service::start(&[("ANTHROPIC_API_KEY", "test-key"), ("ANTHROPIC_BASE_URL", &mock.url())]).await
}

#[tokio::test]
async fn answers_of_the_ai_are_used_corrected_cached_replaced_and_counted() {
    let mock = MockProvider::start().await.unwrap();
    let service = service(&mock).await;
    let ask = async |prompt: &str| service.process(json!({"prompt": prompt, "active_image": true})).await;

    mock.push(Reply::Answer(Answer::of("EDIT_IMAGE").enhanced("A purple sky; all else stays.")));
    let used = ask("make the sky purple").await;
    assert_eq!(
        (&used["source"], &used["enhanced_prompt"]),
        (&json!("llm"), &json!("A purple sky; all else stays."))
    );
    assert_eq!(used["circuit_breaker_state"], "closed");

    mock.push(Reply::Answer(Answer::of("VIDEO_EDIT")));
    let corrected = ask("make the sea green").await;
    assert_eq!(
        (&corrected["prompt_type"], &corrected["corrected_from"]),
        (&json!("EDIT_IMAGE"), &json!("VIDEO_EDIT"))
    );

    assert_eq!(ask("make the sky purple").await["cache"]["intent"], "l1");
    assert_eq!(mock.count(), 2);

    mock.always(Reply::ServerError);
    let replaced = ask("make the grass red").await;
    assert_eq!((&replaced["source"], &replaced["used_fallback"]), (&json!("local"), &json!(true)));
    assert_eq!(replaced["degraded"], json!(["llm_error"]));

    settled(&service).await;
    let stats = service.get("/api/v2/stats?period=1h").await;
    assert_eq!(stats["total_classifications"], 4);
    assert_eq!(stats["by_source"], json!({"llm": 3, "local": 1}));
    assert_eq!((&stats["fallback_rate"], &stats["cache_hit_rate"]), (&json!(25.0), &json!(25.0)));
    assert!(stats["cost_spent"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn neither_the_key_nor_the_providers_text_appears_in_a_response() {
    let mock = MockProvider::start().await.unwrap();
    let service = service(&mock).await;
    mock.push(Reply::Status { code: 500, headers: vec![], body: "test-key said: secret words".into() });
    let answer = service.process(json!({"prompt": "make the sky purple"})).await.to_string();
    assert!(!answer.contains("test-key") && !answer.contains("secret words"));
    let detailed = service.get("/health/detailed").await.to_string();
    assert!(!detailed.contains("test-key") && !detailed.contains("purple"));
}

#[tokio::test]
async fn prompts_that_differ_in_quoted_white_space_are_different_requests() {
    let mock = MockProvider::start().await.unwrap();
    mock.answer_with(|request: &picarcade_testkit::Request| {
        let turn: serde_json::Value = serde_json::from_str(&request.user_text()).unwrap();
        Answer::of("EDIT_IMAGE").enhanced(format!("AI: {}", turn["prompt"].as_str().unwrap()))
    });
    let service = service(&mock).await;
    let local = Service::start(&[]).await;
    let written = [
        "write on it: \"roses\nviolets\"",
        "write on it: \"roses violets\"",
        "write on it: \"roses  violets\"",
        "write on it: \"roses\tviolets\"",
        "write on it: \"roses\n\nviolets\"",
        "write on it: \"roses\u{a0}violets\"",
        "write on it: \"Roses violets\"",
        "write on it: \"rose\u{301}s violets\"",
        "write on it: \"ros\u{e9}s violets\"",
        "write on it: “roses violets”",
    ];
    for prompt in written {
        let body = json!({"prompt": prompt, "active_image": true});
        let answer = service.process(body.clone()).await;
        assert_eq!(answer["enhanced_prompt"], format!("AI: {prompt}"), "{answer}");
        let answer = local.process(body).await;
        assert!(answer["enhanced_prompt"].as_str().unwrap().contains(prompt), "{answer}");
    }
    assert_eq!(mock.count(), written.len() as u64);
    // White space around the prompt and the kind of line break do not change the request.
    let answer = service
        .process(json!({"prompt": " write on it: \"roses\r\nviolets\"\n", "active_image": true}))
        .await;
    assert_eq!(answer["cache"]["intent"], "l1", "{answer}");
    assert_eq!(mock.count(), written.len() as u64);
}

fn draft() -> String {
    Answer::of("EDIT_IMAGE").enhanced("A draft.").to_json().to_string()
}

fn last() -> String {
    Answer::of("EDIT_IMAGE").enhanced("The last one.").to_json().to_string()
}

#[tokio::test]
async fn the_final_answer_is_used_in_every_form_of_reply() {
    let mock = MockProvider::start().await.unwrap();
    let openai = Service::start(&[("OPENAI_API_KEY", "test-key"), ("OPENAI_BASE_URL", &mock.url())]).await;
    let anthropic = service(&mock).await;
    let (draft, last) = (draft(), last());
    let completion = |content: &serde_json::Value| Reply::Status {
        code: 200,
        headers: vec![],
        body: json!({
            "choices": [{"message": {"content": content}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": "900", "completion_tokens": 100.0},
        })
        .to_string(),
    };
    let parts = json!([{"type": "text", "text": draft}, {"type": "text", "text": last}]);
    let plain = || Reply::Answer(Answer::of("EDIT_IMAGE").enhanced("The last one."));
    for (name, service, reply) in [
        ("a thought", &anthropic, Reply::Prose(format!("<think>{draft}</think>{last}"))),
        ("fences", &anthropic, Reply::Prose(format!("```json\n{draft}\n```\n```json\n{last}\n```"))),
        ("gzip", &anthropic, plain().encoded(Coding::Gzip)),
        ("deflate", &anthropic, plain().encoded(Coding::Deflate)),
        ("Brotli", &openai, plain().encoded(Coding::Brotli)),
        ("parts", &openai, completion(&parts)),
        ("text and parts compressed", &openai, completion(&parts).encoded(Coding::Gzip)),
    ] {
        mock.push(reply);
        let prompt = format!("make the sky purple: {name}");
        let answer = service.process(json!({"prompt": prompt, "active_image": true})).await;
        assert_eq!(
            (&answer["source"], &answer["enhanced_prompt"], &answer["degraded"]),
            (&json!("llm"), &json!("The last one."), &json!([])),
            "{name}: {answer}"
        );
    }
    // 900 tokens at 0.20 and 100 at 1.20 dollars a million, as the last two calls report in their
    // own forms.
    let spent = openai.get("/api/v2/stats").await["cost_spent"].as_f64().unwrap();
    assert!(spent > 0.0 && spent < 0.002, "{spent}");
}

#[tokio::test]
async fn failed_polls_do_not_abandon_a_paid_prediction() {
    let mock = MockProvider::start().await.unwrap();
    mock.answer_with(Answer::of("EDIT_IMAGE"));
    let environment = [
        ("REPLICATE_API_TOKEN", "test-key"),
        ("REPLICATE_BASE_URL", &mock.url()),
        ("CLASSIFICATION_TIMEOUT", "50"),
    ];
    let service = Service::start(&environment).await;
    mock.push(Reply::Pending(2));
    let status = |code, body: &str| Reply::Status { code, headers: vec![], body: body.to_owned() };
    for fault in [status(404, "{}"), Reply::NotJson, status(502, "<html>"), Reply::Reset, Reply::Unauthorized]
    {
        mock.push_poll(fault);
    }
    let answer = service.process(json!({"prompt": "make the sky purple", "active_image": true})).await;
    assert_eq!((&answer["source"], &answer["degraded"]), (&json!("llm"), &json!([])), "{answer}");
    assert_eq!(mock.count(), 1, "one paid call");
}
