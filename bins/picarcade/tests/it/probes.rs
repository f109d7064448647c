//! The probes: what they show in each state, and that many of them make no call to a backend.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use picarcade_intent::Matrix;
use picarcade_testkit::{Answer, Fault, FaultProxy, MockProvider, RedisServer, Reply};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::database::{migrated, shared};
use crate::failing_database::UNLIMITED;
use crate::service::{AMPLE, Service, connected, until, with};

/// Returns the overall status, the status of one part, and the details of that part.
async fn state(service: &Service, part: &str) -> (String, String, Value) {
    let health = service.get("/health/detailed").await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let part = &health["components"][part];
    (text(&health["overall"]), text(&part["status"]), part.clone())
}

/// Returns the state of Redis in `/health/cache`: whether it is connected, and which endpoint
/// serves.
async fn redis(service: &Service) -> (Value, Value) {
    let redis = &service.get("/health/cache").await["redis"];
    (redis["connected"].clone(), redis["active"].clone())
}

/// Overrides a breaker.
async fn override_breaker(service: &Service, breaker: &str, action: &str) {
    let path = format!("/admin/breakers/{breaker}/{action}");
    let order = service.request(Method::POST, &path).bearer_auth("root");
    assert_eq!(order.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn each_state_of_redis_is_shown_and_none_makes_the_service_unready() {
    let (primary, backup) = tokio::try_join!(RedisServer::start(), RedisServer::start()).unwrap();
    let (url, backup_url) = (primary.url(), backup.url());
    let environment = [("REDIS_URL", &*url), ("REDIS_BACKUP_URL", &*backup_url)];
    let service = Service::start(&with(&environment, &AMPLE)).await;
    connected(&service).await;
    until("healthy", async || state(&service, "cache").await.0 == "healthy").await;
    assert_eq!(redis(&service).await, (json!(true), json!("primary")));
    until("its memory is known", async || {
        service.get("/health/cache").await["redis"]["used_memory_bytes"].as_u64() > Some(0)
    })
    .await;

    primary.kill();
    until("on the backup", async || {
        let (overall, cache, part) = state(&service, "cache").await;
        overall == "degraded" && cache == "degraded" && part["details"]["remote"] == "backup"
    })
    .await;
    assert_eq!(redis(&service).await, (json!(true), json!("backup")));
    service.get("/health/ready").await;

    // The error of a replica that lost its primary: it can be read and accepts no write. There is
    // no other replica.
    backup.command(&["REPLICAOF", "127.0.0.1", "1"]).await.unwrap();
    let without = async |what: &str| {
        until(what, async || {
            // The limiter notices it by a request.
            service.process(json!({"prompt": "a red fox"})).await;
            let (overall, cache, part) = state(&service, "cache").await;
            let (_, limiter, _) = state(&service, "rate_limiter").await;
            (&*overall, &*cache, &*limiter) == ("degraded", "degraded", "degraded")
                && part["details"]["remote"] == "down"
                && part["last_error"].is_string()
        })
        .await;
        assert_eq!(redis(&service).await.0, json!(false), "{what}");
        service.get("/health/ready").await;
    };
    without("read-only").await;
    backup.kill();
    without("gone").await;

    primary.restart().await.unwrap();
    until("with redis again", async || {
        service.process(json!({"prompt": "a red fox"})).await;
        state(&service, "rate_limiter").await.1 == "healthy"
            && redis(&service).await == (json!(true), json!("primary"))
    })
    .await;
    assert_eq!(state(&service, "cache").await.0, "healthy");
}

#[tokio::test]
async fn each_state_of_the_ai_the_breakers_the_rules_and_the_database_is_shown() {
    let (server, mock) = (shared().await, MockProvider::start().await.unwrap());
    let url = migrated(server).await;
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let (through, mock_url) = (proxy.through(&url), mock.url());
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("matrix.csv");
    std::fs::write(&file, Matrix::embedded().to_csv()).unwrap();
    let rules = file.to_str().unwrap().to_owned();
    let mut environment = vec![
        ("DATABASE_URL", &*through),
        ("ANTHROPIC_API_KEY", "k"),
        ("ANTHROPIC_BASE_URL", &*mock_url),
        ("PICARCADE_ADMIN_TOKEN", "root"),
        ("PICARCADE_RULES", &*rules),
        ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "2"),
        ("CIRCUIT_BREAKER_TIMEOUT", "1"),
        ("CIRCUIT_BREAKER_SUCCESS_THRESHOLD", "1"),
        ("PICARCADE_SHUTDOWN_TIMEOUT", "60"),
        ("PICARCADE_SHUTDOWN_DELAY", "15"),
    ];
    environment.extend(UNLIMITED);
    let mut service = Service::start_in(directory, &environment, &[]).await;
    let healthy = async |what: &str| {
        until(what, async || state(&service, "flow").await.0 == "healthy").await;
        service.get("/health/ready").await;
    };
    healthy("the start").await;
    let health = service.get("/health/detailed").await;
    let summary = json!({"healthy": 5, "degraded": 0, "unhealthy": 0, "total": 5});
    assert_eq!((&health["summary"], &health["draining"]), (&summary, &json!(false)), "{health}");
    until("its latency is known", async || state(&service, "database").await.2["latency_ms"].is_f64()).await;

    // The AI: unavailable, probed, available again, and overridden by an operator.
    let breaker = async |wanted: &str| {
        let (_, status, part) = state(&service, "circuit_breakers").await;
        let breakers = part["details"]["breakers"].as_array().unwrap().clone();
        let is = |breaker: &Value| breaker["name"] == "anthropic" && breaker["state"] == wanted;
        breakers.iter().any(is).then_some((status, part["last_error"].clone()))
    };
    let asked = AtomicU32::new(0);
    let ask = async || {
        let prompt = format!("paint tree {}", asked.fetch_add(1, Ordering::Relaxed));
        service.process(json!({"prompt": prompt, "active_image": true})).await
    };
    mock.always(Reply::ServerError);
    until("the breaker is open", async || {
        ask().await;
        breaker("open").await == Some(("degraded".to_owned(), json!("server")))
    })
    .await;
    service.get("/health/ready").await;
    mock.always(Reply::Answer(Answer::of("EDIT_IMAGE")).after(Duration::from_secs(5)));
    let probing = async {
        // The probe takes its time; the other requests are answered at once.
        until("the breaker is closed", async || ask().await["source"] == "llm").await;
    };
    let half_open = until("the breaker is half open", async || {
        breaker("half_open").await == Some(("degraded".to_owned(), json!("server")))
    });
    tokio::join!(probing, half_open);
    // The past state can still be read.
    assert_eq!(breaker("closed").await, Some(("healthy".to_owned(), json!("server"))));
    for (action, forced, status) in
        [("force-open", "forced_open", "degraded"), ("force-close", "forced_closed", "healthy")]
    {
        override_breaker(&service, "anthropic", action).await;
        assert_eq!(breaker(forced).await.unwrap().0, status);
        assert_eq!(ask().await["circuit_breaker_state"], forced);
    }
    override_breaker(&service, "anthropic", "reset").await;
    mock.recover();
    healthy("by itself again").await;

    // The rules: a file that cannot be read, and then the one that is in force.
    let good = std::fs::read(&file).unwrap();
    std::fs::write(&file, "nonsense").unwrap();
    service.signal("HUP");
    until("the rules are refused", async || {
        let (overall, flow, part) = state(&service, "flow").await;
        (&*overall, &*flow) == ("degraded", "degraded") && part["last_error"] == "rules_refused"
    })
    .await;
    service.get("/health/ready").await;
    std::fs::write(&file, good).unwrap();
    service.signal("HUP");
    healthy("the rules are good").await;

    // The database: it rejects rows, then it is gone and the spool is used.
    let check = "ALTER TABLE intent_classification_logs ADD CHECK (prompt <> 'poison')";
    server.psql_at(&url, check).await.unwrap();
    service.process(json!({"prompt": "poison"})).await;
    until("there is a dead letter", async || {
        let (overall, _, part) = state(&service, "flow").await;
        let dead = &part["details"]["analytics"]["dead_lettered"];
        overall == "healthy" && *dead == 1 && part["last_error"] == "events_dead_lettered"
    })
    .await;
    proxy.set(Fault::Cut).await;
    until("the database is gone and events are spooled", async || {
        ask().await;
        let (overall, database, part) = state(&service, "database").await;
        let (_, flow, events) = state(&service, "flow").await;
        (&*overall, &*database, &*flow) == ("degraded", "degraded", "degraded")
            && part["details"]["reachable"] == false
            && part["last_error"].is_string()
            && events["details"]["analytics"]["spooled"].as_u64() > Some(0)
    })
    .await;
    service.get("/health/ready").await;
    proxy.set(Fault::Pass).await;
    healthy("the database is back").await;
    assert!(state(&service, "database").await.2["last_error"].is_string());

    service.signal("TERM");
    until("it says that it stops", async || service.get("/health/detailed").await["draining"] == true).await;
    let ready = service.request(Method::GET, "/health/ready").send().await.unwrap();
    assert_eq!(ready.status(), 503);
    service.signal("KILL");
    service.ended().await;
}

#[tokio::test]
async fn a_flood_of_probes_makes_no_call_to_a_backend() {
    const PROBES: u64 = 3_000;
    const SCRAPES: u64 = 400;
    // The upper bound of the background checks and the votes of the breakers, which run by the
    // clock: twice that of an idle service.
    const COMMANDS_A_SECOND: f64 = 50.0;
    const SCRIPTS_A_SECOND: f64 = 10.0;
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
    let (before, started) = (commands().await, Instant::now());
    let paths = ["/health", "/health/live", "/health/ready", "/health/detailed", "/health/cache"];
    let storm = paths.map(|path| async {
        for _ in 0..PROBES / paths.len() as u64 {
            let answer = service.request(Method::GET, path).send().await.unwrap();
            assert_eq!(answer.status(), 200);
        }
    });
    futures_util::future::join_all(storm).await;
    let asked = commands().await - before;
    let background = started.elapsed().as_secs_f64() * COMMANDS_A_SECOND;
    assert!((asked as f64) < background + PROBES as f64 / 10.0, "{asked} commands for {PROBES} probes");

    // Scripts decide the limits and count the votes of the breakers, which run by the clock.
    let scripts = async || -> u64 {
        let report = redis.command(&["INFO", "commandstats"]).await.unwrap();
        let calls = |line: &str| line.split_once("calls=")?.1.split(',').next()?.parse::<u64>().ok();
        report.lines().filter(|line| line.contains("eval") || line.contains("fcall")).filter_map(calls).sum()
    };
    until("scripts are counted", async || scripts().await > 0).await;
    let (before, started) = (scripts().await, Instant::now());
    let scrapes = (0..4).map(|_| async {
        for _ in 0..SCRAPES / 4 {
            let answer = service.request(Method::GET, "/metrics").send().await.unwrap();
            assert_eq!(answer.status(), 200);
        }
    });
    futures_util::future::join_all(scrapes).await;
    let asked = scripts().await - before;
    let background = started.elapsed().as_secs_f64() * SCRIPTS_A_SECOND;
    assert!((asked as f64) < background + SCRAPES as f64 / 10.0, "{asked} scripts for {SCRAPES} scrapes");
    assert_eq!(mock.count(), 0);
}
