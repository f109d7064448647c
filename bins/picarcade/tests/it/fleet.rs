//! Two instances over one Redis, and what happens when it goes.

use std::sync::LazyLock;

use picarcade_testkit::{Answer, MockProvider, RedisServer};
use serde_json::{Value, json};

use crate::service::{PATIENCE, Service, connected};

static FOX: LazyLock<Value> = LazyLock::new(|| json!({"prompt": "a red fox", "user_id": "ann"}));

#[tokio::test]
async fn two_instances_pay_once() {
    let (redis, mock) = (RedisServer::start().await.unwrap(), MockProvider::start().await.unwrap());
    mock.answer_with(Answer::of("EDIT_IMAGE"));
    let (redis_url, mock_url) = (redis.url(), mock.url());
    let environment =
        [("REDIS_URL", &*redis_url), ("ANTHROPIC_API_KEY", "k"), ("ANTHROPIC_BASE_URL", &*mock_url)];
    let (one, two) = tokio::join!(Service::start(&environment), Service::start(&environment));
    connected(&one).await;
    connected(&two).await;
    let body = json!({"prompt": "make the sky purple", "active_image": true});
    assert_eq!(one.process(body.clone()).await["cache"]["intent"], "miss");
    // The write to Redis is behind the answer.
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !redis.command(&["KEYS", "*intent*:e:*"]).await.unwrap().contains("intent") {
        assert!(tokio::time::Instant::now() < deadline, "nothing was written");
    }
    let second = two.process(body.clone()).await;
    assert_eq!((&second["source"], mock.count()), (&json!("llm"), 1), "{second}");
    assert_eq!(two.process(body).await["cache"]["intent"], "l1");
}

async fn share_the_limits(driver: &str) {
    let redis = RedisServer::start().await.unwrap();
    let url = redis.url();
    let environment =
        [("REDIS_URL", &*url), ("PICARCADE_REDIS_DRIVER", driver), ("RATE_LIMIT_REQUESTS_PER_MINUTE", "10")];
    let (one, two) = tokio::join!(Service::start(&environment), Service::start(&environment));
    connected(&one).await;
    connected(&two).await;
    let asks = (0..40).map(|index| {
        let service = if index % 2 == 0 { &one } else { &two };
        service.post("/api/v2/process", &FOX)
    });
    let statuses: Vec<_> =
        futures_util::future::join_all(asks).await.into_iter().map(|(status, _)| status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 10, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 30, "{statuses:?}");
}

#[tokio::test]
async fn two_instances_share_the_limits_by_either_driver() {
    share_the_limits("redis").await;
    share_the_limits("fred").await;
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
