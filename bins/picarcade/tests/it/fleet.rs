//! Two instances over one Redis, and what happens when it goes.

use picarcade_testkit::{Answer, MockProvider, RedisServer};
use serde_json::json;

use crate::service::{PATIENCE, Service};

#[tokio::test]
async fn two_instances_pay_once() {
    let (redis, mock) = (RedisServer::start().await.unwrap(), MockProvider::start().await.unwrap());
    mock.answer_with(Answer::of("EDIT_IMAGE"));
    let (redis_url, mock_url) = (redis.url(), mock.url());
    let environment =
        [("REDIS_URL", &*redis_url), ("ANTHROPIC_API_KEY", "k"), ("ANTHROPIC_BASE_URL", &*mock_url)];
    let (one, two) = tokio::join!(Service::start(&environment), Service::start(&environment));
    let body = json!({"prompt": "make the sky purple", "active_image": true});
    assert_eq!(one.process(body.clone()).await["cache"]["intent"], "miss");
    let deadline = tokio::time::Instant::now() + PATIENCE;
    // The write to Redis is behind the answer.
    loop {
        let caches = one.get("/health/cache").await;
        if caches["redis"]["connected"] == true {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{caches}");
    }
    let second = two.process(body.clone()).await;
    assert_eq!((&second["source"], mock.count()), (&json!("llm"), 1), "{second}");
    assert_eq!(two.process(body).await["cache"]["intent"], "l1");
}

#[tokio::test]
async fn a_lost_redis_degrades_and_never_fails() {
    let redis = RedisServer::start().await.unwrap();
    let url = redis.url();
    let service = Service::start(&[("REDIS_URL", &url)]).await;
    service.process(json!({"prompt": "a red fox"})).await;
    redis.kill();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    for index in 0.. {
        let answer =
            service.process(json!({"prompt": format!("fox {index}"), "user_id": format!("u{index}")})).await;
        if answer["degraded"].as_array().unwrap().contains(&json!("cache_unavailable")) {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "it never said so");
    }
    assert_eq!(service.process(json!({"prompt": "a red fox"})).await["cache"]["intent"], "l1");
    service.get("/health/ready").await;
}

#[tokio::test]
async fn a_redis_that_is_not_there_at_start_is_no_reason_not_to_start() {
    let service = Service::start(&[("REDIS_URL", "redis://127.0.0.1:1")]).await;
    service.process(json!({"prompt": "a red fox"})).await;
}
