//! With the mock provider in the place of Anthropic: used, corrected, cached, replaced.

use picarcade_testkit::{Answer, MockProvider, Reply};
use serde_json::json;

use crate::service::Service;

async fn service(mock: &MockProvider) -> Service {
    Service::start(&[("ANTHROPIC_API_KEY", "test-key"), ("ANTHROPIC_BASE_URL", &mock.url())]).await
}

#[tokio::test]
async fn used_corrected_cached_replaced_and_counted() {
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

    let stats = service.get("/api/v2/stats?period=1h").await;
    assert_eq!(stats["total_classifications"], 4);
    assert_eq!(stats["by_source"], json!({"llm": 3, "local": 1}));
    assert_eq!((&stats["fallback_rate"], &stats["cache_hit_rate"]), (&json!(25.0), &json!(25.0)));
    assert!(stats["cost_spent"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn neither_key_nor_prompt_is_sent_where_it_does_not_belong() {
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
    // White space around the words and the kind of a line's end are the same request.
    let answer = service
        .process(json!({"prompt": " write on it: \"roses\r\nviolets\"\n", "active_image": true}))
        .await;
    assert_eq!(answer["cache"]["intent"], "l1", "{answer}");
    assert_eq!(mock.count(), written.len() as u64);
}
