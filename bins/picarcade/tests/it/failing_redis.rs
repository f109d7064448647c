//! The rows of the failure table about Redis: requests are answered from what this instance has,
//! and `degraded` says so until Redis is back.

use std::time::Duration;

use picarcade_testkit::{Fault, FaultProxy, RedisServer};
use serde_json::{Value, json};

use crate::service::{AMPLE, Service, until, with};

/// Sends one request of a new user, which must always be answered.
async fn degraded(service: &Service) -> Vec<String> {
    let user = format!("user-{}", uuid::Uuid::now_v7());
    let answer = service.process(json!({"prompt": "a red fox", "user_id": user})).await;
    let words = answer["degraded"].as_array().unwrap();
    words.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// Redis cannot be used at all.
const AWAY: &[&str] = &["cache_unavailable", "limits_local"];

/// Redis can be read, but accepts no write.
const FULL: &[&str] = &["limits_local"];

/// Waits until answers name these degraded parts.
async fn until_degraded(service: &Service, what: &str, words: &[&str]) {
    until(&format!("degraded by: {what}"), async || degraded(service).await == words).await;
}

/// Waits until answers name no degraded part.
async fn until_recovered(service: &Service, what: &str) {
    until(&format!("whole after: {what}"), async || degraded(service).await.is_empty()).await;
}

#[tokio::test]
async fn a_bad_network_to_redis_degrades_and_no_request_fails() {
    let redis = RedisServer::start().await.unwrap();
    let proxy = FaultProxy::start(redis.addr()).await.unwrap();
    let url = proxy.through(&redis.url());
    let service = Service::start(&with(&[("REDIS_URL", &*url)], &AMPLE)).await;
    until_recovered(&service, "the start").await;
    for (what, fault) in [
        ("slow", Fault::Delay(Duration::from_secs(5))),
        ("silent", Fault::BlackHole),
        ("gone", Fault::Cut),
        ("reset", Fault::Reset),
        ("replies lost", Fault::LoseReplies),
    ] {
        proxy.set(fault).await;
        until_degraded(&service, what, AWAY).await;
        proxy.set(Fault::Pass).await;
        until_recovered(&service, what).await;
    }
    for _ in 0..15 {
        proxy.set(Fault::Cut).await;
        degraded(&service).await;
        proxy.set(Fault::Pass).await;
        degraded(&service).await;
    }
    until_recovered(&service, "flapping").await;
}

#[tokio::test]
async fn a_refusing_or_stopped_redis_degrades_and_no_request_fails() {
    let redis = RedisServer::start().await.unwrap();
    let url = redis.url();
    let service = Service::start(&with(&[("REDIS_URL", &*url)], &AMPLE)).await;
    until_recovered(&service, "the start").await;
    for (what, words, begin, end) in [
        ("read-only", AWAY, &["REPLICAOF", "127.0.0.1", "1"][..], &["REPLICAOF", "NO", "ONE"][..]),
        ("full", FULL, &["CONFIG", "SET", "maxmemory", "1"], &["CONFIG", "SET", "maxmemory", "0"]),
    ] {
        redis.command(begin).await.unwrap();
        until_degraded(&service, what, words).await;
        redis.command(end).await.unwrap();
        until_recovered(&service, what).await;
    }
    redis.pause();
    until_degraded(&service, "stopped", AWAY).await;
    redis.resume();
    until_recovered(&service, "stopped").await;
    redis.kill();
    until_degraded(&service, "killed", AWAY).await;
    redis.restart().await.unwrap();
    until_recovered(&service, "killed").await;
}

#[tokio::test]
async fn the_backup_replaces_a_lost_primary() {
    let (primary, backup) = tokio::try_join!(RedisServer::start(), RedisServer::start()).unwrap();
    let (url, backup_url) = (primary.url(), backup.url());
    // The window is an hour, so that no request leaves it before the last one has come.
    let environment = [
        ("REDIS_URL", &*url),
        ("REDIS_BACKUP_URL", &*backup_url),
        ("RATE_LIMIT_REQUESTS_PER_HOUR", "5"),
        ("RATE_LIMIT_GLOBAL_REQUESTS_PER_HOUR", "1000000"),
    ];
    let (one, two) = tokio::join!(Service::start(&environment), Service::start(&environment));
    until_recovered(&one, "the start").await;
    until_recovered(&two, "the start").await;
    primary.kill();
    for service in [&one, &two] {
        until("the backup is used", async || {
            let on_backup = service.get("/health/cache").await["redis"]["active"] == "backup";
            degraded(service).await.is_empty() && on_backup
        })
        .await;
    }
    // Both instances count in the backup: the limits are still those of the fleet.
    let ann: Value = json!({"prompt": "a red fox", "user_id": "ann"});
    let asks = (0..20).map(|index| if index % 2 == 0 { &one } else { &two }.post("/api/v2/process", &ann));
    let answers = futures_util::future::join_all(asks).await;
    assert_eq!(answers.iter().filter(|(status, _)| *status == 200).count(), 5);
    assert_eq!(answers.iter().filter(|(status, _)| *status == 429).count(), 15);
}
