//! The service with a real PostgreSQL: migrated, lost and found, silent, shared by instances, and
//! wrong in every way.

use picarcade_testkit::{Fault, FaultProxy, PgBouncer, PostgresServer, RedisServer, stay_within_one_day};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::command_line::run;
use crate::failing_database::UNLIMITED;
use crate::service::{Service, connected, with};

async fn migrate(url: &str) {
    let migrated = run(&TempDir::new().unwrap(), &[("DATABASE_URL", url)], &["migrate"]).await;
    assert_eq!((migrated.code, &*migrated.out), (0, "the database is up to date\n"), "{}", migrated.err);
}

/// Sends a request that no earlier one has sent.
async fn process(service: &Service, index: usize) -> Value {
    let body = json!({"prompt": format!("a red fox, number {index}"), "user_id": format!("user-{index}")});
    service.process(body).await
}

/// Polls until the response is as wanted, and returns it.
async fn until(service: &Service, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut answer = Value::Null;
    crate::service::until(path, async || {
        let response = service.request(Method::GET, path).send().await.unwrap();
        answer = response.json().await.unwrap();
        wanted(&answer)
    })
    .await;
    answer
}

async fn session(service: &Service, id: &str, user: &str) -> (u16, Value) {
    let path = format!("/api/v2/sessions/{id}?user_id={user}");
    let response = service.request(Method::GET, &path).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn put(service: &Service, id: &str, body: Value) -> Value {
    let path = format!("/api/v2/sessions/{id}?user_id=ann");
    let response = service.request(Method::PUT, &path).json(&body).send().await.unwrap();
    let status = response.status();
    let answer = response.json().await.unwrap();
    assert_eq!(status, 200, "{answer}");
    answer
}

fn image(n: usize) -> Value {
    json!({"working_image": format!("https://cdn.example/{n}.png")})
}

#[tokio::test]
async fn events_survive_a_pooler_and_a_restart_of_the_database() {
    let server = PostgresServer::start().await.unwrap();
    let bouncer = PgBouncer::start_with(&server, 2).await.unwrap();
    let url = bouncer.url();
    migrate(&url).await;
    migrate(&url).await;
    stay_within_one_day();
    let environment = [("DATABASE_URL", &*url), ("STATS_CACHE_TTL", "0.001")];
    let service = Service::start(&with(&environment, &UNLIMITED)).await;
    for index in 0..20 {
        process(&service, index).await;
    }
    let statistics = until(&service, "/api/v2/stats", |answer| answer["total_classifications"] == 20).await;
    assert_eq!(statistics["by_source"], json!({"local": 20}), "{statistics}");
    let burn = |answer: &Value| {
        let budget = &answer["budget"];
        json!([budget["per_day"], budget["spent_today"], budget["burned_percent"]])
    };
    assert_eq!(burn(&statistics), json!([500.0, 0.0, 0.0]), "{statistics}");
    put(&service, "s", image(1)).await;
    let detailed = until(&service, "/health/detailed", |answer| {
        answer["components"]["database"]["latency_ms"].is_number()
    })
    .await;
    let schema = &detailed["components"]["database"]["details"]["schema"];
    assert_eq!((&detailed["overall"], schema), (&json!("healthy"), &Value::Null), "{detailed}");

    // Dollars that are spent elsewhere show in the budget.
    server
        .psql(
            "INSERT INTO cost_tracking (id, user_id, operation_type, estimated_cost_micros, actual_cost_micros, model_used,
                 created_at) VALUES (gen_random_uuid(), 'u', 'generation', 0, 125000000, 'm', now())",
        )
        .await
        .unwrap();
    until(&service, "/api/v2/stats", |answer| burn(answer) == json!([500.0, 125.0, 25.0])).await;

    server.kill();
    let mut index = 20;
    crate::service::until("events are spooled", async || {
        let answer = process(&service, index).await;
        index += 1;
        answer["degraded"].as_array().unwrap().contains(&json!("analytics_spooling"))
    })
    .await;
    until(&service, "/health/detailed", |answer| {
        let database = &answer["components"]["database"];
        database["status"] == "degraded" && database["last_error"].is_string()
    })
    .await;
    service.get("/health/ready").await;
    let body = json!({"prompt": "make the sky purple", "user_id": "ann", "session_id": "s"});
    assert!(service.process(body).await["success"].as_bool().unwrap());

    server.restart().await.unwrap();
    let all = index + 1;
    until(&service, "/api/v2/stats", |answer| answer["total_classifications"] == all).await;
    let found = "SELECT count(*), count(DISTINCT id) FROM intent_classification_logs";
    assert_eq!(server.psql(found).await.unwrap(), format!("{all}|{all}"));
    until(&service, "/health/detailed", |answer| answer["overall"] == "healthy").await;
    let (status, found) = session(&service, "s", "ann").await;
    assert_eq!(
        (status, &found["working_image"]),
        (200, &image(1)["working_image"]),
        "{found} {:#?}",
        service.log()
    );
}

#[tokio::test]
async fn every_instance_sees_a_change_of_a_session() {
    let (redis, server) = tokio::try_join!(RedisServer::start(), PostgresServer::start()).unwrap();
    let (redis_url, url) = (redis.url(), server.url());
    migrate(&url).await;
    let environment = with(&[("REDIS_URL", &*redis_url), ("DATABASE_URL", &*url)], &UNLIMITED);
    let (one, two) = tokio::join!(Service::start(&environment), Service::start(&environment));
    tokio::join!(connected(&one), connected(&two));
    for n in 0..10 {
        let (writer, reader) = if n % 2 == 0 { (&one, &two) } else { (&two, &one) };
        let put = put(writer, "s", image(n)).await;
        // Redis publishes the change; the time to live of ten minutes would be too long.
        let seen = |answer: &Value| answer["working_image"] == put["working_image"];
        until(reader, "/api/v2/sessions/s?user_id=ann", seen).await;
        assert!(seen(&session(writer, "s", "ann").await.1));
    }
    let video = json!({"working_video": "https://cdn.example/v.mp4"});
    assert_eq!(put(&one, "s", video.clone()).await["working_image"], Value::Null);
    let seen = until(&two, "/api/v2/sessions/s?user_id=ann", |answer| {
        answer["working_video"] == video["working_video"]
    })
    .await;
    assert_eq!(seen["working_image"], Value::Null);
    for service in [&one, &two] {
        assert_eq!(session(service, "s", "bob").await.0, 404);
    }

    // The session is cached, so a change in the database itself is not noticed.
    server.psql("UPDATE user_sessions SET metadata = '{\"behind\": 1}'").await.unwrap();
    for service in [&one, &two] {
        assert_eq!(session(service, "s", "ann").await.1["metadata"], json!({}));
        let levels = service.get("/health/cache").await;
        let level = levels["levels"].as_array().unwrap().iter().find(|level| level["name"] == "sessions");
        assert!(level.unwrap()["hits"].as_u64().unwrap() > 0, "{levels}");
    }
    // It is noticed after the time to live.
    let brief = [
        ("DATABASE_URL", &*url),
        ("REDIS_URL", &*redis_url),
        ("SESSION_CACHE_TTL", "0.2"),
        ("REDIS_KEY_PREFIX", "brief:"),
    ];
    let brief = Service::start(&with(&brief, &UNLIMITED)).await;
    connected(&brief).await;
    assert_eq!(session(&brief, "s", "ann").await.1["metadata"], json!({"behind": 1}));
    server.psql("UPDATE user_sessions SET metadata = '{\"behind\": 2}'").await.unwrap();
    until(&brief, "/api/v2/sessions/s?user_id=ann", |answer| answer["metadata"] == json!({"behind": 2}))
        .await;

    // Without Redis no instance is notified of a change, so each request reads the database.
    redis.kill();
    for service in [&one, &two] {
        until(service, "/health/cache", |answer| answer["redis"]["connected"] == false).await;
    }
    for n in 0..5 {
        let (writer, reader) = if n % 2 == 0 { (&one, &two) } else { (&two, &one) };
        let put = put(writer, "s", image(n)).await;
        assert_eq!(session(reader, "s", "ann").await.1["working_image"], put["working_image"]);
    }
    let path = "/api/v2/sessions/s?user_id=ann";
    assert_eq!(one.request(Method::DELETE, path).send().await.unwrap().status(), 204);
    assert_eq!(session(&two, "s", "ann").await.0, 404);
}

#[tokio::test]
async fn a_silent_or_unmigrated_database_does_not_delay_the_start() {
    let server = PostgresServer::start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let url = proxy.through(&server.url());
    proxy.set(Fault::BlackHole).await;
    let environment = [("DATABASE_URL", &*url), ("STATS_CACHE_TTL", "0.001")];
    let service = Service::start(&with(&environment, &UNLIMITED)).await;
    for index in 0..5 {
        process(&service, index).await;
    }
    service.get("/health/ready").await;
    proxy.set(Fault::Pass).await;
    // Now it answers, and has no tables.
    let behind = until(&service, "/health/detailed", |answer| {
        let schema = answer["components"]["database"]["details"]["schema"].as_str().unwrap_or_default();
        schema.contains("it is at version 0") && schema.contains("run the migrations")
    })
    .await;
    assert_eq!(behind["components"]["database"]["status"], "degraded");
    process(&service, 5).await;
    migrate(&server.url()).await;
    until(&service, "/api/v2/stats", |answer| answer["total_classifications"] == 6).await;
}

#[tokio::test]
async fn a_fault_of_the_database_is_one_line() {
    let server = PostgresServer::start().await.unwrap();
    let good = server.url();
    migrate(&good).await;
    let wrong_password = good.replacen(":testkit@", ":hunter2@", 1);
    let no_database = format!("{good}x");
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below_a_file = file.join("data");
    let (below, sqlite) = (below_a_file.to_str().unwrap(), format!("sqlite://{}", below_a_file.display()));
    let serve = ["serve", "--listen", "127.0.0.1:0"].as_slice();
    for (environment, arguments, code, part) in [
        (vec![("DATABASE_URL", &*wrong_password)], serve, 2, "refused the connection (28P01)"),
        (vec![("DATABASE_URL", &*no_database)], serve, 2, "refused the connection (3D000)"),
        (
            vec![("DATABASE_URL", "mysql://u:hunter2@h/d")],
            serve,
            2,
            "must begin with postgres:// or sqlite://",
        ),
        (vec![("DATABASE_URL", "postgres://u:hunter2@h:port/d")], serve, 2, "the database URL is not usable"),
        (vec![("DATABASE_URL", &*sqlite)], serve, 2, "cannot write to"),
        (vec![("PICARCADE_DATA_DIR", below)], serve, 2, "cannot write to"),
        (vec![("DATABASE_URL", &*good), ("PICARCADE_DATA_DIR", below)], serve, 2, "PICARCADE_DATA_DIR"),
        (vec![("DATABASE_URL", &*wrong_password)], &["migrate"], 2, "refused the connection (28P01)"),
        (
            vec![("DATABASE_URL", "postgres://u:hunter2@127.0.0.1:1/d")],
            &["migrate"],
            1,
            "the database is unavailable",
        ),
        (vec![("PICARCADE_PROMPT_PRIVACY", "hashed")], serve, 2, "PICARCADE_PROMPT_HASH_KEY"),
        (vec![("PICARCADE_PROMPT_HASH_KEY", "hunter2")], serve, 2, "at least 16 characters"),
    ] {
        let run = run(&directory, &environment, arguments).await;
        assert_eq!((run.code, run.err.lines().count()), (code, 1), "{environment:?}: {}", run.err);
        assert!(run.err.contains(part) && !run.err.contains("hunter2"), "{environment:?}: {}", run.err);
    }
    server
        .psql("INSERT INTO picarcade_migrations VALUES (99, 'from the future', now(), true, '\\x00', 0)")
        .await
        .unwrap();
    let ahead = run(&directory, &[("DATABASE_URL", &good)], &["migrate"]).await;
    assert_eq!((ahead.code, ahead.err.lines().count()), (2, 1), "{}", ahead.err);
    assert!(ahead.err.contains("use a newer build"), "{}", ahead.err);
}

#[tokio::test]
async fn prompts_are_stored_as_hashes_if_configured() {
    let server = PostgresServer::start().await.unwrap();
    let url = server.url();
    migrate(&url).await;
    let environment = [
        ("DATABASE_URL", &*url),
        ("PICARCADE_PROMPT_PRIVACY", "hashed"),
        ("PICARCADE_PROMPT_HASH_KEY", "a secret of its own"),
    ];
    let shown = run(&TempDir::new().unwrap(), &environment, &["config"]).await;
    assert!(shown.out.contains("prompt_hash_key") && !shown.out.contains("a secret of"), "{}", shown.out);
    let service = Service::start(&environment).await;
    for user in ["ann", "bob"] {
        service.process(json!({"prompt": "a red fox", "user_id": user})).await;
    }
    until(&service, "/health/detailed", |answer| {
        answer["components"]["flow"]["details"]["analytics"]["queued"] == 0
    })
    .await;
    let kept = "SELECT count(*), count(DISTINCT prompt), min(length(prompt)) FROM intent_classification_logs
                WHERE prompt ~ '^[0-9a-f]+$'";
    assert_eq!(server.psql(kept).await.unwrap(), "2|1|64");
}
