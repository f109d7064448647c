//! The rows of the failure table about the database and the disk: requests are answered, events are
//! kept on disk and written later, each row once.

use std::time::Duration;

use picarcade_testkit::{Fault, FaultProxy, PostgresServer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::database::{TABLES, migrated, number, rows, settled, shared};
use crate::service::{Service, until, with};

/// No limit but that of the machine.
pub const UNLIMITED: [(&str, &str); 3] = [
    ("RATE_LIMIT_REQUESTS_PER_MINUTE", "0"),
    ("RATE_LIMIT_REQUESTS_PER_HOUR", "0"),
    ("RATE_LIMIT_GLOBAL_REQUESTS_PER_HOUR", "0"),
];

async fn process(service: &Service, prompt: &str) -> Value {
    service.process(json!({"prompt": prompt, "active_image": true})).await
}

/// Sends requests until answers say that events go to the disk.
async fn until_spooling(service: &Service, what: &str) {
    until(&format!("spooling: {what}"), async || {
        process(service, "a red fox").await["degraded"] == json!(["analytics_spooling"])
    })
    .await;
}

/// Sends requests until answers no longer say so.
async fn until_writing(service: &Service, what: &str) {
    until(&format!("writing again: {what}"), async || {
        process(service, "a red fox").await["degraded"] == json!([])
    })
    .await;
}

#[tokio::test]
async fn a_database_that_refuses_rows_gets_each_later_and_once() {
    let server = shared().await;
    let url = migrated(server).await;
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let through = proxy.through(&url);
    let mut environment = vec![("DATABASE_URL", &*through)];
    environment.extend(UNLIMITED);
    let service = Service::start(&environment).await;
    process(&service, "the start").await;

    proxy.set(Fault::Delay(Duration::from_secs(1))).await;
    process(&service, "slow").await;
    for (what, fault) in [("gone", Fault::Cut), ("reset", Fault::Reset), ("replies lost", Fault::LoseReplies)]
    {
        proxy.set(fault).await;
        if fault == Fault::LoseReplies {
            // A write that hangs is given up after ten seconds; here it is enough that no request
            // waits for it.
            process(&service, what).await;
        } else {
            until_spooling(&service, what).await;
        }
        proxy.set(Fault::Pass).await;
        until_writing(&service, what).await;
    }
    // The errors of a PostgreSQL whose disk is full, that is a standby, or that accepts no more
    // clients.
    let refusal = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
        $$BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END$$";
    server.psql_at(&url, refusal).await.unwrap();
    let database = url.rsplit('/').next().unwrap();
    let trigger = |table: &str| {
        format!("CREATE TRIGGER full_disk BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuse();")
    };
    let mend = |table: &str| format!("DROP TRIGGER full_disk ON {table};");
    let read_only =
        |word: &str| format!("ALTER DATABASE {database} SET default_transaction_read_only = {word}");
    let room = |limit: i32| format!("ALTER DATABASE {database} CONNECTION LIMIT {limit}");
    // A session that may write in a database that is read-only.
    let superuser = server.superuser_url();
    let superuser = format!(
        "{}/{database}?options=-c%20default_transaction_read_only%3Doff",
        superuser.rsplit_once('/').unwrap().0
    );
    for (what, break_it, mend_it) in [
        ("full", TABLES.map(trigger).join(""), TABLES.map(mend).join("")),
        ("read-only", read_only("on"), read_only("off")),
        ("no room for a client", room(0), room(-1)),
    ] {
        server.psql_at(&superuser, &break_it).await.unwrap();
        proxy.cut_all().await;
        until_spooling(&service, what).await;
        server.psql_at(&superuser, &mend_it).await.unwrap();
        proxy.cut_all().await;
        until_writing(&service, what).await;
    }

    let counters = settled(&service).await;
    let accepted = counters["accepted"].as_u64().unwrap();
    assert_eq!((&counters["committed"], &counters["dropped"]), (&json!(accepted), &json!(0)), "{counters}");
    assert_eq!(rows(server, &url).await, (accepted, accepted));
}

#[tokio::test]
async fn a_rejected_row_affects_no_other_row() {
    let server = shared().await;
    let url = migrated(server).await;
    let check = "ALTER TABLE intent_classification_logs ADD CHECK (prompt <> 'poison')";
    server.psql_at(&url, check).await.unwrap();
    let service = Service::start(&[("DATABASE_URL", &url)]).await;
    let asks = (0..20).map(|index| {
        let prompt = if index % 5 == 0 { "poison".to_owned() } else { format!("fox {index}") };
        let service = &service;
        async move { process(service, &prompt).await }
    });
    for answer in futures_util::future::join_all(asks).await {
        assert_eq!(answer["degraded"], json!([]), "{answer}");
    }
    let counters = settled(&service).await;
    assert_eq!((&counters["dead_lettered"], &counters["dropped"]), (&json!(4), &json!(0)), "{counters}");
    assert_eq!(number(server, &url, "SELECT count(*) FROM intent_classification_logs").await, 16);
    assert_eq!(counters["accepted"].as_u64().unwrap(), counters["committed"].as_u64().unwrap() + 4);
}

#[tokio::test]
async fn a_killed_process_loses_no_committed_or_spooled_event() {
    // The test has a server of its own, because it kills it.
    let server = PostgresServer::start().await.unwrap();
    let url = migrated(&server).await;
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let through = proxy.through(&url);
    let mut service = Service::start(&with(&[("DATABASE_URL", &*through)], &UNLIMITED)).await;
    for index in 0..10 {
        process(&service, &format!("fox {index}")).await;
    }
    let committed = settled(&service).await["committed"].as_u64().unwrap();
    server.kill();
    for index in 10..20 {
        process(&service, &format!("fox {index}")).await;
    }
    until_spooling(&service, "killed").await;
    let mut accepted = 0;
    until("all is on the disk", async || {
        let counters = service.events().await;
        accepted = counters["accepted"].as_u64().unwrap();
        counters["queued"] == 0 && counters["spooled"] == accepted - committed
    })
    .await;
    service.signal("KILL");
    service.ended().await;
    server.restart().await.unwrap();
    let service = Service::start_in(service.directory, &[("DATABASE_URL", &through)], &[]).await;
    let counters = settled(&service).await;
    assert_eq!(counters["recovered"], accepted - committed, "{counters}");
    assert_eq!(rows(&server, &url).await, (accepted, accepted));
}

#[tokio::test]
async fn a_full_disk_loses_counted_events_and_no_request() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    std::fs::create_dir(&data).unwrap();
    // A small file system that ends with the process. If that is not permitted, a size limit for
    // each file replaces it.
    let place = data.to_str().unwrap().to_owned();
    let preparation = format!(
        "if mount -t tmpfs -o size=256k none '{place}' 2>/dev/null; then :; else trap '' XFSZ; ulimit -f 256; fi;"
    );
    let server = shared().await;
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let through = proxy.through(&migrated(server).await);
    let mut environment = vec![("DATABASE_URL", &*through)];
    environment.extend(UNLIMITED);
    let mut service = Service::start_alone(&preparation, directory, &environment).await;
    proxy.set(Fault::Cut).await;
    let long = "🦊".repeat(8000);
    let batch = json!({"requests": vec![json!({"prompt": long}); 64]});
    until("events are dropped", async || {
        let (status, answer) = service.post("/api/v2/batch", &batch).await;
        assert_eq!((status, &answer["succeeded"]), (200, &json!(64)), "{}", answer["results"][0]);
        service.events().await["dropped"] != 0
    })
    .await;
    until("it is unhealthy for what it gives up", async || {
        service.post("/api/v2/batch", &batch).await;
        let health = service.get("/health/detailed").await;
        let flow = &health["components"]["flow"];
        (&health["overall"], &flow["status"], &flow["last_error"])
            == (&json!("unhealthy"), &json!("unhealthy"), &json!("events_lost"))
    })
    .await;
    let counters = service.events().await;
    let sum: u64 = ["committed", "queued", "spooled", "dead_lettered", "dropped"]
        .iter()
        .map(|place| counters[place].as_u64().unwrap())
        .sum();
    assert_eq!(counters["accepted"], sum, "{counters}");
    assert!(
        process(&service, "a red fox").await["degraded"]
            .as_array()
            .unwrap()
            .contains(&json!("analytics_spooling"))
    );
    service.get("/health/ready").await;
    service.signal("TERM");
    assert_eq!(service.ended().await.code(), Some(0));
}
