//! The probes: what they show in each state, and that a storm of them asks nobody for anything.

use picarcade_testkit::{FaultProxy, MockProvider, RedisServer};
use reqwest::Method;
use serde_json::{Value, json};

use crate::service::{Service, connected, until};

/// How the whole and a part of it do, and what is said of the part.
async fn state(service: &Service, part: &str) -> (String, String, Value) {
    let health = service.get("/health/detailed").await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let part = &health["components"][part];
    (text(&health["overall"]), text(&part["status"]), part.clone())
}

#[tokio::test]
async fn each_state_is_shown_and_none_makes_the_service_unready() {
    let (primary, backup) = tokio::try_join!(RedisServer::start(), RedisServer::start()).unwrap();
    let proxy = FaultProxy::start(primary.addr()).await.unwrap();
    let service = Service::start(&[
        ("REDIS_URL", &proxy.through(&primary.url())),
        ("REDIS_BACKUP_URL", &backup.url()),
        ("PICARCADE_ADMIN_TOKEN", "root"),
    ])
    .await;
    connected(&service).await;
    until("healthy", async || state(&service, "cache").await.0 == "healthy").await;

    primary.kill();
    until("on the backup", async || service.get("/health/cache").await["redis"]["active"] == "backup").await;
    service.get("/health/ready").await;

    backup.kill();
    until("without redis", async || {
        // The limiter learns of it by a request.
        service.process(json!({"prompt": "a red fox"})).await;
        let (overall, cache, part) = state(&service, "cache").await;
        let (_, limiter, _) = state(&service, "rate_limiter").await;
        overall == "degraded"
            && cache == "degraded"
            && limiter == "degraded"
            && part["last_error"].is_string()
    })
    .await;
    assert_eq!(service.get("/health/cache").await["redis"]["connected"], false);
    service.get("/health/ready").await;

    primary.restart().await.unwrap();
    until("with redis again", async || {
        service.process(json!({"prompt": "a red fox"})).await;
        state(&service, "rate_limiter").await.1 == "healthy"
            && service.get("/health/cache").await["redis"]["connected"] == true
    })
    .await;

    let order = service.request(Method::POST, "/admin/breakers/replicate/force-open").bearer_auth("root");
    assert_eq!(order.send().await.unwrap().status(), 200);
    let (overall, breakers, _) = state(&service, "circuit_breakers").await;
    assert_eq!((&*overall, &*breakers), ("degraded", "degraded"));
    service.get("/health/ready").await;
}

#[tokio::test]
async fn a_storm_of_probes_asks_nobody() {
    const PROBES: u64 = 3_000;
    let (redis, mock) = (RedisServer::start().await.unwrap(), MockProvider::start().await.unwrap());
    let service = Service::start(&[
        ("REDIS_URL", &redis.url()),
        ("ANTHROPIC_API_KEY", "test-key"),
        ("ANTHROPIC_BASE_URL", &mock.url()),
    ])
    .await;
    connected(&service).await;
    let commands = async || -> u64 {
        let report = redis.command(&["INFO", "stats"]).await.unwrap();
        report
            .lines()
            .find_map(|line| line.strip_prefix("total_commands_processed:")?.trim().parse().ok())
            .unwrap()
    };
    let before = commands().await;
    let paths = ["/health", "/health/live", "/health/ready", "/health/detailed", "/health/cache"];
    let storm = paths.map(|path| async {
        for _ in 0..PROBES / paths.len() as u64 {
            let answer = service.request(Method::GET, path).send().await.unwrap();
            assert_eq!(answer.status(), 200);
        }
    });
    futures_util::future::join_all(storm).await;
    // Beside them the background checks go on, which depends on how long the storm took.
    let asked = commands().await - before;
    assert!(asked < PROBES / 2, "{asked} commands for {PROBES} probes");
    assert_eq!(mock.count(), 0);
}
