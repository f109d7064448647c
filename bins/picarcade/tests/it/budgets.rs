//! Dollar budgets survive a fail-back, an old snapshot and a restart of the service.

use picarcade_testkit::{Fault, FaultProxy, RedisServer, eventually};
use reqwest::Method;
use serde_json::json;

use crate::database::{migrated, settled, shared};
use crate::failing_database::UNLIMITED;
use crate::service::{Service, connected, until};

/// Reserves a generation for $0.03. Returns its id, or `None` if the dollars do not suffice.
async fn reserve(service: &Service, user: &str) -> Option<String> {
    let body =
        json!({"prompt": "make the sky purple", "active_image": true, "user_id": user, "reserve": true});
    let (status, answer) = service.post("/api/v2/process", &body).await;
    match status {
        200 => Some(answer["generation_id"].as_str().unwrap().to_owned()),
        429 => None,
        other => panic!("{other}: {answer}"),
    }
}

/// Waits until the store denies dollars because the budget is used up. While no dollars can be
/// reserved, a denial names no limit.
async fn is_used_up(service: &Service, user: &str) {
    until("the budget is used up", async || {
        let body =
            json!({"prompt": "make the sky purple", "active_image": true, "user_id": user, "reserve": true});
        let (status, answer) = service.post("/api/v2/process", &body).await;
        assert_eq!(status, 429, "more was spent than the budget: {answer}");
        answer["violated"][0]["unit"] == "usd"
    })
    .await;
}

/// Starts a service without request limits, so that a test may send many requests.
async fn start(environment: &[(&str, &str)]) -> Service {
    Service::start(&[&UNLIMITED[..], environment].concat()).await
}

async fn moves_to(service: &Service, endpoint: &str) {
    until("traffic moves", async || {
        let redis = &service.get("/health/cache").await["redis"];
        redis["active"] == endpoint && redis["connected"] == true
    })
    .await;
}

async fn a_budget_survives_a_fail_back(driver: &str) {
    let (primary, backup) = tokio::try_join!(RedisServer::start(), RedisServer::start()).unwrap();
    let proxy = FaultProxy::start(primary.addr()).await.unwrap();
    let database = migrated(shared().await).await;
    let service = start(&[
        ("REDIS_URL", &proxy.through(&primary.url())),
        ("REDIS_BACKUP_URL", &backup.url()),
        ("PICARCADE_REDIS_DRIVER", driver),
        ("DATABASE_URL", &database),
        ("COST_LIMIT_PER_HOUR", "0.15"),
    ])
    .await;
    connected(&service).await;
    eventually("the backup is connected", async || {
        backup.command(&["KEYS", "picarcade:probe:*"]).await.unwrap().contains("probe")
    })
    .await;
    // The budget is five generations: two on the primary, three on the backup, none after the
    // fail-back.
    for _ in 0..2 {
        assert!(reserve(&service, "ann").await.is_some());
    }
    settled(&service).await;
    proxy.set(Fault::Cut).await;
    moves_to(&service, "backup").await;
    let mut bought = 2;
    until("the rest is spent on the backup", async || {
        bought += u64::from(reserve(&service, "ann").await.is_some());
        bought == 5
    })
    .await;
    is_used_up(&service, "ann").await;
    settled(&service).await;
    proxy.set(Fault::Pass).await;
    moves_to(&service, "primary").await;
    is_used_up(&service, "ann").await;
}

#[tokio::test]
async fn a_budget_survives_a_fail_back_with_redis_rs() {
    a_budget_survives_a_fail_back("redis").await;
}

#[tokio::test]
async fn a_budget_survives_a_fail_back_with_fred() {
    a_budget_survives_a_fail_back("fred").await;
}

#[tokio::test]
async fn a_budget_survives_a_redis_that_restarts_from_an_old_snapshot() {
    for driver in ["redis", "fred"] {
        let redis = RedisServer::start().await.unwrap();
        let service = start(&[
            ("REDIS_URL", &redis.url()),
            ("PICARCADE_REDIS_DRIVER", driver),
            ("COST_LIMIT_PER_HOUR", "0.15"),
        ])
        .await;
        connected(&service).await;
        for bought in 0..5 {
            if bought == 1 {
                redis.command(&["SAVE"]).await.unwrap();
            }
            assert!(reserve(&service, "ann").await.is_some(), "{driver} {bought}");
        }
        settled(&service).await;
        redis.restart().await.unwrap();
        is_used_up(&service, "ann").await;
    }
}

#[tokio::test]
async fn a_budget_survives_a_redis_that_is_flushed_before_its_expenses_are_written() {
    let (redis, database) = (RedisServer::start().await.unwrap(), migrated(shared().await).await);
    let url = redis.url();
    let flush = async || redis.command(&["FLUSHALL"]).await.unwrap();
    for database in [None, Some(("DATABASE_URL", &*database))] {
        flush().await;
        let limited = [("REDIS_URL", &*url), ("COST_LIMIT_PER_HOUR", "0.15")];
        let service = start(&limited.into_iter().chain(database).collect::<Vec<_>>()).await;
        connected(&service).await;
        for bought in 0..5 {
            assert!(reserve(&service, "ann").await.is_some(), "{bought}");
        }
        for _ in 0..3 {
            flush().await;
            is_used_up(&service, "ann").await;
        }
    }
}

async fn spent_today(service: &Service) -> f64 {
    service.get("/api/v2/stats?period=1h").await["cost_spent"].as_f64().unwrap()
}

#[tokio::test]
async fn a_restart_keeps_the_budget_of_expired_and_of_open_reservations() {
    // With the shorter time the reservations have expired at the stop; with the longer one they are
    // still open.
    for (signal, ttl) in [("TERM", "0.001"), ("TERM", "900"), ("KILL", "0.001"), ("KILL", "900")] {
        let environment = [("COST_LIMIT_PER_HOUR", "0.10"), ("PICARCADE_RESERVATION_TTL", ttl)];
        let mut service = Service::start(&environment).await;
        for _ in 0..3 {
            assert!(reserve(&service, "ann").await.is_some());
        }
        assert!(reserve(&service, "ann").await.is_none(), "$0.09 of $0.10 are gone");
        settled(&service).await;
        service.signal(signal);
        service.ended().await;
        let service = Service::start_in(service.directory, &environment, &[]).await;
        assert!(reserve(&service, "ann").await.is_none(), "{signal} {ttl}: $0.09 of $0.10 are gone");
        assert!(reserve(&service, "bob").await.is_some(), "{signal} {ttl}");
        let spent = spent_today(&service).await;
        assert!((spent - 0.12).abs() < 1e-9, "{signal} {ttl}: {spent}");
    }
}

#[tokio::test]
async fn every_end_of_a_reservation_leaves_one_cost_row() {
    let (redis, postgres) = (RedisServer::start().await.unwrap(), shared().await);
    let (database, redis_url) = (migrated(postgres).await, redis.url());
    let environment =
        [("DATABASE_URL", &*database), ("REDIS_URL", &*redis_url), ("PICARCADE_RESERVATION_TTL", "3600")];
    let (one, two) = tokio::join!(Service::start(&environment), Service::start(&environment));
    tokio::join!(connected(&one), connected(&two));
    let row = async |id: &str| {
        let sql = format!(
            "SELECT estimated_cost, actual_cost, operation_type, coalesce(success::text, 'open')
             FROM cost_tracking WHERE generation_id = '{id}'"
        );
        postgres.psql_at(&database, &sql).await.unwrap().trim().to_owned()
    };
    let open = reserve(&one, "ann").await.unwrap();
    let succeeded = reserve(&one, "ann").await.unwrap();
    let failed = reserve(&one, "ann").await.unwrap();
    until("the rows are there", async || !row(&failed).await.is_empty()).await;
    assert_eq!(row(&open).await, "0.030000|0.030000|generation|open");
    for (id, outcome) in [
        (&succeeded, json!({"success": true, "actual_cost": 0.02, "user_id": "ann"})),
        (&failed, json!({"success": false, "error_kind": "provider_error", "user_id": "ann"})),
    ] {
        for _ in 0..2 {
            let path = format!("{}/api/v2/generations/{id}/outcome", two.url);
            let response = two.client.request(Method::POST, path).json(&outcome).send().await.unwrap();
            assert_eq!(response.status(), 200);
        }
    }
    until("the outcomes are there", async || row(&failed).await.ends_with("false")).await;
    until("the outcomes are there", async || row(&succeeded).await.ends_with("true")).await;
    assert_eq!(row(&open).await, "0.030000|0.030000|generation|open");
    assert_eq!(row(&succeeded).await, "0.030000|0.020000|generation|true");
    assert_eq!(row(&failed).await, "0.030000|0.000000|generation|false");
}

#[tokio::test]
async fn no_dollars_are_reserved_while_expenses_wait_for_the_database() {
    let (redis, postgres) = (RedisServer::start().await.unwrap(), shared().await);
    let database = migrated(postgres).await;
    let proxy = FaultProxy::start(postgres.addr()).await.unwrap();
    let service = start(&[
        ("DATABASE_URL", &proxy.through(&database)),
        ("REDIS_URL", &redis.url()),
        ("COST_LIMIT_PER_HOUR", "0.05"),
    ])
    .await;
    connected(&service).await;
    assert!(reserve(&service, "ann").await.is_some());
    settled(&service).await;
    proxy.set(Fault::Cut).await;
    until("events are spooled", async || {
        service.process(json!({"prompt": "a red fox", "user_id": "ann"})).await;
        service.events().await["spooled"].as_u64().unwrap() > 0
    })
    .await;
    redis.restart().await.unwrap();
    connected(&service).await;
    for _ in 0..5 {
        assert!(reserve(&service, "ann").await.is_none(), "the sum of the expenses is not known");
    }
    proxy.set(Fault::Pass).await;
    settled(&service).await;
    is_used_up(&service, "ann").await;
}
