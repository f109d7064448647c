//! Outages of Redis and PostgreSQL: the log and the health name the cause, and the log says when an
//! outage is over.

use picarcade_testkit::{PostgresServer, RedisServer};
use serde_json::{Value, json};

use crate::database::migrated;
use crate::service::{Service, connected, until};

/// Asserts that no line contains a credential or more than one record.
fn assert_is_clean(service: &Service) {
    for line in service.log() {
        assert!(!line.contains("hunter2"), "{line}");
        let record: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        assert!(!record["cause"].as_str().unwrap_or_default().contains('\n'), "{line}");
    }
}

async fn redis_names(driver: &str, url: &str, kind: &str, part: &str) {
    let service = Service::start(&[("REDIS_URL", url), ("PICARCADE_REDIS_DRIVER", driver)]).await;
    until("the log names the cause", async || {
        service.records("redis cannot be used").iter().any(|record| record["kind"] == kind)
    })
    .await;
    let record = service.records("redis cannot be used").pop().unwrap();
    assert_eq!((&record["level"], &record["endpoint"]), (&json!("WARN"), &json!("primary")), "{record}");
    assert!(record["cause"].as_str().unwrap().contains(part), "{record}");
    let redis = service.get("/health/cache").await["redis"].clone();
    assert_eq!((&redis["last_error"], &redis["cause"]), (&json!(kind), &record["cause"]), "{redis}");
    let cache = service.get("/health/detailed").await["components"]["cache"].clone();
    assert_eq!(
        (&cache["last_error"], &cache["details"]["cause"]),
        (&json!(kind), &record["cause"]),
        "{cache}"
    );
    // The connection is tried again and again, and the log has one line for it.
    assert_eq!(service.records("redis cannot be used").len(), 1, "{:#?}", service.log());
    assert_is_clean(&service);
}

#[tokio::test]
async fn the_cause_of_a_redis_that_cannot_be_used_is_named_with_both_drivers() {
    let server = RedisServer::builder().password("right").start().await.unwrap();
    let address = server.addr();
    let encrypted = RedisServer::builder().tls().start().await.unwrap();
    let wrong = format!("redis://:hunter2@{address}");
    let tls = format!("rediss://:hunter2@{}", encrypted.addr());
    for driver in ["redis", "fred"] {
        tokio::join!(
            redis_names(driver, "redis://:hunter2@no-such-host.invalid", "dns", "host name"),
            redis_names(driver, "redis://:hunter2@127.0.0.1:1", "refused", "no server listens"),
            redis_names(driver, &wrong, "auth", "password"),
            redis_names(driver, &tls, "tls", "TLS handshake"),
        );
    }
}

#[tokio::test]
async fn a_redis_that_cannot_save_is_named_and_its_return_is_logged() {
    let builder = RedisServer::builder().arg("save", "3600 1").arg("dbfilename", "taken");
    let server = builder.start().await.unwrap();
    let service = Service::start(&[("REDIS_URL", &server.url())]).await;
    connected(&service).await;
    // The snapshot fails because a directory has its name, and the server then refuses writes
    // (MISCONF).
    let directory = server.command(&["CONFIG", "GET", "dir"]).await.unwrap();
    let directory = directory.split_whitespace().last().unwrap().to_owned();
    std::fs::create_dir(format!("{directory}/taken")).unwrap();
    let _ = server.command(&["BGSAVE"]).await;
    let cache = async || service.get("/health/detailed").await["components"]["cache"].clone();
    until("the cause is named", async || cache().await["last_error"] == "disk").await;
    until("the log names it", async || {
        let log = service.log();
        log.iter().any(|line| line.contains("cannot save to its disk"))
    })
    .await;
    server.command(&["CONFIG", "SET", "save", ""]).await.unwrap();
    server.command(&["CONFIG", "SET", "stop-writes-on-bgsave-error", "no"]).await.unwrap();
    until("it is over", async || !service.records("redis is available again").is_empty()).await;
    let record = service.records("redis is available again").remove(0);
    assert!(record["level"] == "INFO" && record["outage_seconds"].as_f64() > Some(0.0), "{record}");
    assert_is_clean(&service);
}

#[tokio::test]
async fn the_cause_of_a_database_that_cannot_be_used_is_named_and_its_return_is_logged() {
    let server = PostgresServer::start().await.unwrap();
    let url = migrated(&server).await;
    let nowhere = "postgres://u:hunter2@no-such-host.invalid/d";
    let closed = "postgres://u:hunter2@127.0.0.1:1/d";
    let names = async |url: &str, kind: &str| {
        let service = Service::start(&[("DATABASE_URL", url)]).await;
        let database = async || service.get("/health/detailed").await["components"]["database"].clone();
        until("the cause is named", async || database().await["last_error"] == kind).await;
        let records = service.records("the database cannot be used");
        let (record, shown) = (records.last().unwrap(), database().await["details"]["cause"].clone());
        assert_eq!((&record["kind"], &record["cause"]), (&json!(kind), &shown), "{:#?}", service.log());
        assert_is_clean(&service);
    };
    tokio::join!(names(nowhere, "dns"), names(closed, "refused"));

    let service = Service::start(&[("DATABASE_URL", &*url)]).await;
    let database = async || service.get("/health/detailed").await["components"]["database"].clone();
    until("it is healthy", async || database().await["latency_ms"].is_number()).await;
    server.kill();
    service.process(json!({"prompt": "a red fox"})).await;
    until("the cause is named", async || {
        let now = database().await;
        now["details"]["reachable"] == false && now["last_error"] == "refused"
    })
    .await;
    let failed = "analytics cannot be written";
    until("the recorder names it", async || !service.records(failed).is_empty()).await;
    let record = service.records(failed).remove(0);
    assert!(record["kind"] == "refused" && record["source"].is_null(), "{record}");
    server.restart().await.unwrap();
    for message in ["the database is available again", "analytics can be written again"] {
        until(message, async || !service.records(message).is_empty()).await;
        let records = service.records(message);
        assert_eq!(records.len(), 1, "{records:?}");
        assert!(records[0]["outage_seconds"].as_f64() > Some(0.0), "{records:?}");
    }
    let after = database().await;
    assert_eq!((&after["last_error"], &after["details"]["cause"]), (&json!("refused"), &Value::Null));
    assert_is_clean(&service);
}
