//! Outcomes of generations: reported to another instance, after a restart, twice, and for a foreign
//! id. A run of failures affects later answers.

use picarcade_testkit::{PostgresServer, RedisServer};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::database::{migrated, settled, shared};
use crate::service::{Service, connected, picarcade, until};

async fn generate(service: &Service, user: &str, reserve: bool) -> String {
    let body =
        json!({"prompt": "make the sky purple", "active_image": true, "user_id": user, "reserve": reserve});
    service.process(body).await["generation_id"].as_str().unwrap().to_owned()
}

async fn report(service: &Service, id: &str, user: &str, mut body: Value) -> (u16, Value) {
    body["user_id"] = json!(user);
    service.post(&format!("/api/v2/generations/{id}/outcome"), &body).await
}

/// Returns how much of the hourly dollars a user has used.
async fn dollars(service: &Service, user: &str) -> f64 {
    let usage = service.get(&format!("/api/v2/usage?user_id={user}")).await;
    let limits = usage["limits"].as_array().unwrap();
    let own = limits.iter().find(|limit| limit["scope"] == "USER" && limit["unit"] == "usd");
    own.unwrap_or_else(|| panic!("{usage}"))["used"].as_f64().unwrap()
}

#[tokio::test]
async fn any_instance_accepts_the_outcome_of_a_generation_once() {
    let (redis, postgres) = tokio::try_join!(RedisServer::start(), PostgresServer::start()).unwrap();
    let (redis_url, database) = (redis.url(), postgres.create_database().await.unwrap());
    let environment = [("REDIS_URL", &*redis_url), ("DATABASE_URL", &*database)];
    let migrated = picarcade(&TempDir::new().unwrap(), &environment).arg("migrate").status().await.unwrap();
    assert!(migrated.success());
    let (one, two) = tokio::join!(Service::start(&environment), Service::start(&environment));
    tokio::join!(connected(&one), connected(&two));

    // Reported immediately, before the first instance has written anything.
    let reserved = generate(&one, "ann", true).await;
    assert!((dollars(&two, "ann").await - 0.03).abs() < 1e-9);
    let good = json!({"success": true, "actual_cost": 0.05, "actual_time": 21.5});
    let (status, first) = report(&two, &reserved, "ann", good.clone()).await;
    assert_eq!((status, &first["recorded"], &first["settlement"]), (200, &json!(true), &json!("settled")));
    assert!((dollars(&one, "ann").await - 0.05).abs() < 1e-9);
    for service in [&one, &two] {
        let (status, again) =
            report(service, &reserved, "ann", json!({"success": false, "actual_cost": 9.0})).await;
        assert_eq!(
            (status, &again["recorded"], &again["settlement"]),
            (200, &json!(false), &json!("repeated"))
        );
    }
    assert!((dollars(&one, "ann").await - 0.05).abs() < 1e-9);

    let other = generate(&one, "ann", false).await;
    for (id, user) in [
        (&*other, "bob"),
        ("0192a3b4-0000-7000-8000-000000000000", "ann"),
        ("nonsense", "ann"),
        ("%00", "ann"),
    ] {
        assert_eq!(report(&two, id, user, good.clone()).await.0, 404, "{id} {user}");
    }
    let (status, unreserved) =
        report(&two, &other, "ann", json!({"success": false, "error_kind": "timeout", "actual_time": 60}))
            .await;
    assert_eq!(
        (status, &unreserved["recorded"], &unreserved["settlement"]),
        (200, &json!(true), &json!("unknown"))
    );

    let rows = |table: &str, columns: &str, id: &str| {
        let sql = format!("SELECT {columns} FROM {table} WHERE generation_id = '{id}'");
        let (postgres, database) = (&postgres, &database);
        async move { postgres.psql_at(database, &sql).await.unwrap().trim().to_owned() }
    };
    for (table, columns, id, expected) in [
        (
            "model_selection_logs",
            "estimated_cost, actual_cost, estimated_time, actual_time, success",
            &reserved,
            "0.030000|0.050000|30|21.5|t",
        ),
        (
            "cost_tracking",
            "estimated_cost, actual_cost, operation_type, success",
            &reserved,
            "0.030000|0.050000|generation|t",
        ),
        (
            "model_selection_logs",
            "actual_cost, actual_time, success, error_message",
            &other,
            "0.030000|60|f|timeout",
        ),
        (
            "cost_tracking",
            "estimated_cost, actual_cost, success, error_message",
            &other,
            "0.030000|0.030000|f|timeout",
        ),
    ] {
        let written = async || rows(table, columns, id).await == expected;
        until(&format!("{table} has {expected}"), written).await;
    }
}

/// Returns the clock of Redis, which decides what has expired.
async fn redis_seconds(redis: &RedisServer) -> u64 {
    redis.command(&["TIME"]).await.unwrap().lines().find_map(|line| line.trim().parse().ok()).unwrap()
}

#[tokio::test]
async fn a_late_outcome_adds_the_cost_above_the_expired_reservation() {
    let redis = RedisServer::start().await.unwrap();
    let service = Service::start(&[("REDIS_URL", &redis.url()), ("PICARCADE_RESERVATION_TTL", "8")]).await;
    connected(&service).await;
    let cheap = generate(&service, "ann", true).await;
    let dear = generate(&service, "ann", true).await;
    let reserved_at = redis_seconds(&redis).await;
    until("both have expired", async || redis_seconds(&redis).await > reserved_at + 8).await;

    for (id, cost, charged) in [(cheap, 0.01, 0.06), (dear, 0.05, 0.08)] {
        let outcome = json!({"success": true, "actual_cost": cost});
        let (status, late) = report(&service, &id, "ann", outcome).await;
        assert_eq!(
            (status, &late["recorded"], &late["settlement"]),
            (200, &json!(true), &json!("expired")),
            "{cost}"
        );
        let used = dollars(&service, "ann").await;
        assert!((used - charged).abs() < 1e-9, "{cost}: {used}");
    }
}

#[tokio::test]
async fn generations_survive_a_restart() {
    let mut service = Service::start(&[]).await;
    let id = generate(&service, "ann", true).await;
    service.signal("TERM");
    assert!(service.child.wait().await.unwrap().success());
    let service = Service::start_in(service.directory, &[], &[]).await;
    let good = json!({"success": true, "actual_cost": 0.05, "actual_time": 21.5});
    assert_eq!(report(&service, &id, "bob", good.clone()).await.0, 404);
    let (status, first) = report(&service, &id, "ann", good.clone()).await;
    assert_eq!((status, &first["recorded"]), (200, &json!(true)));
    assert_eq!(report(&service, &id, "ann", good).await.1["recorded"], json!(false));
    settled(&service).await;
    let stats = service.get("/api/v2/stats?period=1h").await;
    assert_eq!(stats["cost_spent"], json!(0.05));
}

/// Waits until both instances subscribe to fleet messages, because a message is published only
/// once.
async fn both_listen(redis: &RedisServer) {
    let listeners = async || redis.command(&["PUBSUB", "NUMSUB", "picarcade:fleet:news"]).await.unwrap();
    until("both listen", async || listeners().await.trim_end().ends_with('2')).await;
}

#[tokio::test]
async fn an_outcome_reported_to_two_instances_at_once_counts_once() {
    const GENERATIONS: usize = 12;
    let (redis, postgres) = (RedisServer::start().await.unwrap(), shared().await);
    let (redis_url, database) = (redis.url(), migrated(postgres).await);
    let environment =
        [("REDIS_URL", &*redis_url), ("DATABASE_URL", &*database), ("PICARCADE_ADMIN_TOKEN", "root")];
    let (one, two) = tokio::join!(Service::start(&environment), Service::start(&environment));
    tokio::join!(connected(&one), connected(&two));
    both_listen(&redis).await;
    let mut ids = Vec::new();
    for index in 0..GENERATIONS {
        // No dollars are reserved, so no reservation decides which report is first.
        let service = if index % 2 == 0 { &one } else { &two };
        ids.push(generate(service, "ann", false).await);
    }
    // Both instances can find every generation.
    tokio::join!(settled(&one), settled(&two));
    let good = json!({"success": true, "actual_cost": 0.03});
    let reports =
        ids.iter().flat_map(|id| [&one, &two].map(|service| report(service, id, "ann", good.clone())));
    let answers = futures_util::future::join_all(reports).await;
    for pair in answers.chunks(2) {
        let recorded = pair.iter().filter(|(_, answer)| answer["recorded"] == true).count();
        assert!(recorded == 1 && pair.iter().all(|(status, _)| *status == 200), "{pair:?}");
    }
    let successes = async |service: &Service| {
        let request = service.request(Method::GET, "/admin/breakers").bearer_auth("root");
        let breakers: Value = request.send().await.unwrap().json().await.unwrap();
        let breakers = breakers["breakers"].as_array().unwrap().clone();
        let of = |breaker: &&Value| breaker["name"] == "replicate";
        breakers.iter().find(of).unwrap()["success"].as_u64().unwrap()
    };
    let all = GENERATIONS as u64;
    until("both have heard of all", async || successes(&one).await >= all && successes(&two).await >= all)
        .await;
    assert_eq!((successes(&one).await, successes(&two).await), (all, all));
    tokio::join!(settled(&one), settled(&two));
    let spent =
        "SELECT count(*), sum(actual_cost_micros) FROM cost_tracking WHERE actual_cost_micros IS NOT NULL";
    assert_eq!(postgres.psql_at(&database, spent).await.unwrap().trim(), format!("{all}|{}", all * 30_000));
}

/// Returns the names of the available models.
async fn available(service: &Service) -> Vec<Value> {
    let models = service.get("/api/v2/models/available").await;
    let models = models["models"].as_array().unwrap().iter();
    models.filter(|model| model["available"] == true).map(|model| model["name"].clone()).collect()
}

#[tokio::test]
async fn failures_reported_to_two_instances_open_the_providers_breaker_on_both() {
    let redis = RedisServer::start().await.unwrap();
    let url = redis.url();
    let environment = [
        ("REDIS_URL", &*url),
        ("PICARCADE_ADMIN_TOKEN", "root"),
        ("RATE_LIMIT_REQUESTS_PER_MINUTE", "0"),
        ("RATE_LIMIT_REQUESTS_PER_HOUR", "0"),
        ("RATE_LIMIT_GLOBAL_REQUESTS_PER_HOUR", "0"),
        // Open for longer than a slow machine needs to observe it on both instances.
        ("CIRCUIT_BREAKER_TIMEOUT", "15"),
        ("CIRCUIT_BREAKER_SUCCESS_THRESHOLD", "1"),
    ];
    let (one, two) = tokio::join!(Service::start(&environment), Service::start(&environment));
    tokio::join!(connected(&one), connected(&two));
    let model = json!("black-forest-labs/flux-kontext-max");
    let ask = async |service: &Service| {
        service.process(json!({"prompt": "make the sky purple", "active_image": true})).await
    };
    let seen = async |service: &Service, state: &str| {
        let breakers =
            service.request(Method::GET, "/admin/breakers").bearer_auth("root").send().await.unwrap();
        let breakers: Value = breakers.json().await.unwrap();
        let breakers = breakers["breakers"].as_array().unwrap().clone();
        breakers.iter().any(|breaker| breaker["name"] == "replicate" && breaker["state"] == state)
    };
    both_listen(&redis).await;
    let failed = json!({"success": false, "error_kind": "provider_error"});
    // Each instance gets fewer reports than the threshold; it also counts those of the other one.
    for service in [&one, &two, &one, &two, &one] {
        let id = ask(service).await["generation_id"].as_str().unwrap().to_owned();
        assert_eq!(report(service, &id, "anonymous", failed.clone()).await.0, 200);
    }
    for service in [&one, &two] {
        let opened = async || ask(service).await["model_to_use"] != model;
        until("five failures open the breaker", opened).await;
        let answer = ask(service).await;
        assert_eq!(answer["model_to_use"], "runway_gen4_image", "{answer}");
        assert!(answer["degraded"].as_array().unwrap().contains(&json!("model_unavailable")), "{answer}");
        assert!(!available(service).await.contains(&model));
    }
    // After the open time the instance that the fleet elects sends a probe, and a success closes
    // the breaker.
    let services = [&one, &two];
    until("the breaker closes on both", async || {
        for service in services {
            let answer = ask(service).await;
            if answer["model_to_use"] == model {
                let id = answer["generation_id"].as_str().unwrap();
                report(service, id, "anonymous", json!({"success": true, "actual_cost": 0.03})).await;
            }
        }
        seen(&one, "closed").await && seen(&two, "closed").await
    })
    .await;
    for service in services {
        assert_eq!(ask(service).await["model_to_use"], model);
        assert!(available(service).await.contains(&model));
    }
    // An override by an operator holds on both instances.
    let order = one.request(Method::POST, "/admin/breakers/replicate/force-open").bearer_auth("root");
    assert_eq!(order.send().await.unwrap().status(), 200);
    until("the order is passed on", async || seen(&two, "forced_open").await).await;
}
