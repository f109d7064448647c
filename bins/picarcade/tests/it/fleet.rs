//! Two instances that share a Redis, and the loss of that Redis.

use std::sync::LazyLock;

use picarcade_testkit::{Answer, MockProvider, RedisServer};
use reqwest::Method;
use serde_json::{Value, json};

use crate::database::{TABLES, migrated, number, settled, shared};
use crate::service::{AMPLE, Service, connected, until};

static FOX: LazyLock<Value> = LazyLock::new(|| json!({"prompt": "a red fox", "user_id": "ann"}));

#[tokio::test]
async fn two_instances_pay_for_the_same_prompt_once() {
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
    // Redis is written after the response.
    let written = async || redis.command(&["KEYS", "*intent*:e:*"]).await.unwrap().contains("intent");
    until("it is written", written).await;
    let second = two.process(body.clone()).await;
    assert_eq!((&second["source"], mock.count()), (&json!("llm"), 1), "{second}");
    assert_eq!(two.process(body).await["cache"]["intent"], "l1");
}

async fn share_the_limits(driver: &str) {
    let redis = RedisServer::start().await.unwrap();
    let url = redis.url();
    let environment =
        [("REDIS_URL", &*url), ("PICARCADE_REDIS_DRIVER", driver), ("RATE_LIMIT_REQUESTS_PER_HOUR", "10")];
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
async fn two_instances_share_the_limits_with_both_drivers() {
    share_the_limits("redis").await;
    share_the_limits("fred").await;
}

#[tokio::test]
async fn the_service_starts_without_redis() {
    let service = Service::start(&[("REDIS_URL", "redis://127.0.0.1:1")]).await;
    service.process(json!({"prompt": "a red fox"})).await;
}

/// Starts two instances over one Redis, one PostgreSQL and one provider.
struct Fleet {
    redis: RedisServer,
    mock: MockProvider,
    environment: Vec<(&'static str, String)>,
    one: Service,
    two: Service,
}

impl Fleet {
    async fn start(limits: &[(&'static str, &str)]) -> Self {
        let (redis, mock) = tokio::try_join!(RedisServer::start(), MockProvider::start()).unwrap();
        mock.answer_with(Answer::of("EDIT_IMAGE"));
        let mut environment = vec![
            ("REDIS_URL", redis.url()),
            ("DATABASE_URL", migrated(shared().await).await),
            ("ANTHROPIC_API_KEY", "k".to_owned()),
            ("ANTHROPIC_BASE_URL", mock.url()),
            ("PICARCADE_ADMIN_TOKEN", "root".to_owned()),
        ];
        environment.extend(limits.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let (one, two) = tokio::join!(Self::instance(&environment), Self::instance(&environment));
        Self { redis, mock, environment, one, two }
    }

    async fn instance(environment: &[(&'static str, String)]) -> Service {
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, &**value)).collect();
        let service = Service::start(&environment).await;
        connected(&service).await;
        service
    }
}

async fn session(service: &Service, method: Method, body: Option<Value>) -> (u16, Value) {
    let mut request = service.request(method, "/api/v2/sessions/s1").header("x-user-id", "ann");
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

#[tokio::test]
async fn two_instances_share_sessions_invalidations_and_statistics() {
    let fleet = Fleet::start(&AMPLE).await;
    let (one, two) = (&fleet.one, &fleet.two);
    let image = |number: u32| format!("https://cdn.example/{number}.png");
    for number in 0..5 {
        let (writer, reader) = if number % 2 == 0 { (one, two) } else { (two, one) };
        let body = json!({"working_image": image(number)});
        assert_eq!(session(writer, Method::PUT, Some(body)).await.0, 200);
        // The invalidation arrives through Redis; until then the reader may have the old value in
        // its own memory.
        until("the other instance sees the change", async || {
            session(reader, Method::GET, None).await.1["working_image"] == image(number)
        })
        .await;
    }
    assert_eq!(session(two, Method::DELETE, None).await.0, 204);
    until("it is gone everywhere", async || session(one, Method::GET, None).await.0 == 404).await;

    let ask = async |service: &Service, user: &str| {
        let body = json!({"prompt": "make the sky purple", "active_image": true, "user_id": user});
        service.process(body).await["cache"]["intent"].as_str().unwrap().to_owned()
    };
    for body in [json!({"user_id": "bob"}), json!({"tag": "user:bob"}), json!({"all": true})] {
        until("both have it in their memory", async || {
            ask(one, "bob").await == "l1" && ask(two, "bob").await == "l1"
        })
        .await;
        let calls = fleet.mock.count();
        let request = one.request(Method::POST, "/admin/cache/invalidate").bearer_auth("root").json(&body);
        assert_eq!(request.send().await.unwrap().status(), 200);
        until("the other instance has forgotten it", async || ask(two, "bob").await != "l1").await;
        assert_eq!(fleet.mock.count(), calls + 1, "{body}");
    }
    settled(one).await;
    settled(two).await;
    let (first, second) = (one.get("/api/v2/stats").await, two.get("/api/v2/stats").await);
    assert_eq!(first["total_classifications"], second["total_classifications"]);
    assert!(first["total_classifications"].as_u64().unwrap() > 6);

    // A user is deleted everywhere: rows, sessions, answers in the memory of both instances.
    let own = async |service: &Service, method: Method, body: Value| {
        let request = service.request(method, "/api/v2/sessions/s2").header("x-user-id", "bob");
        request.json(&body).send().await.unwrap().status().as_u16()
    };
    assert_eq!(own(one, Method::PUT, json!({"working_image": image(1)})).await, 200);
    assert_eq!(own(two, Method::GET, Value::Null).await, 200);
    ask(one, "carol").await;
    until("both have it in their memory", async || {
        ask(one, "bob").await == "l1" && ask(two, "bob").await == "l1"
    })
    .await;
    settled(one).await;
    settled(two).await;
    let delete = async || {
        let request = one.request(Method::DELETE, "/admin/users/bob").bearer_auth("root");
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        answer["deleted"].as_u64().unwrap()
    };
    let database = &fleet.environment.iter().find(|(name, _)| *name == "DATABASE_URL").unwrap().1;
    let left = async |user: &str| {
        let of = |table: &str| format!("SELECT user_id FROM {table} WHERE user_id = '{user}'");
        let all = [TABLES.map(of).join(" UNION ALL "), of("user_sessions")].join(" UNION ALL ");
        number(shared().await, database, &format!("SELECT count(*) FROM ({all}) AS rows")).await
    };
    let (bobs, carols) = (left("bob").await, left("carol").await);
    assert!(bobs > 4 && carols > 1, "{bobs} {carols}");
    assert_eq!((delete().await, delete().await), (bobs, 0));
    assert_eq!((left("bob").await, left("carol").await), (0, carols));
    assert_eq!(own(one, Method::GET, Value::Null).await, 404);
    until("the other instance has forgotten the session", async || {
        own(two, Method::GET, Value::Null).await == 404
    })
    .await;
    until("and the answer", async || ask(two, "bob").await != "l1").await;
}

#[tokio::test]
async fn an_instance_keeps_the_shared_state_when_the_other_is_killed() {
    // The window is an hour, so that no request leaves it before the last one has come.
    let mut fleet = Fleet::start(&[("RATE_LIMIT_REQUESTS_PER_HOUR", "20")]).await;
    let ask = async |service: &Service, prompt: &str| {
        service
            .post("/api/v2/process", &json!({"prompt": prompt, "active_image": true, "user_id": "ann"}))
            .await
    };
    for index in 0..10 {
        assert_eq!(ask(&fleet.one, &format!("paint tree {index}")).await.0, 200);
    }
    let image = json!({"working_image": "https://cdn.example/1.png"});
    assert_eq!(session(&fleet.one, Method::PUT, Some(image)).await.0, 200);
    let written = async || {
        let keys = fleet.redis.command(&["KEYS", "*intent*:e:*"]).await.unwrap();
        keys.lines().filter(|line| line.contains("intent")).count() >= 10
    };
    until("the answers are shared", written).await;
    fleet.one.signal("KILL");
    fleet.one.ended().await;
    // The killed instance paid for it and counted it.
    let calls = fleet.mock.count();
    let (status, answer) = ask(&fleet.two, "paint tree 3").await;
    assert_eq!((status, &answer["source"], fleet.mock.count()), (200, &json!("llm"), calls), "{answer}");
    assert_eq!(session(&fleet.two, Method::GET, None).await.1["working_image"], "https://cdn.example/1.png");
    let successor = Fleet::instance(&fleet.environment).await;
    let asks = (0..20).map(|index| {
        let service = if index % 2 == 0 { &fleet.two } else { &successor };
        ask(service, "paint tree 3")
    });
    let answers = futures_util::future::join_all(asks).await;
    let passed = answers.iter().filter(|(status, _)| *status == 200).count();
    assert_eq!((passed, answers.len() - passed), (7, 13), "20 an hour, of which 13 were used");
}

#[tokio::test]
async fn an_instance_killed_in_an_ai_call_delays_the_others_by_two_seconds_at_most() {
    let mut fleet = Fleet::start(&AMPLE).await;
    fleet.mock.latency(std::time::Duration::from_secs(3600));
    let ask = json!({"prompt": "make the sky purple", "active_image": true, "user_id": "ann"});
    let cut_off = fleet.one.request(Method::POST, "/api/v2/process").json(&ask).send();
    let ((), cut_off) = tokio::join!(
        async {
            fleet.mock.arrived(1).await;
            let lease = fleet.redis.command(&["KEYS", "*:intent:l:*"]).await.unwrap();
            // The lease is renewed while the call runs, so the longest wait for a dead holder is
            // its time to live.
            let left: i64 = fleet.redis.command(&["PTTL", lease.trim()]).await.unwrap().parse().unwrap();
            assert!(left <= 2000, "{left} ms of {lease:?}");
            fleet.one.signal("KILL");
        },
        cut_off
    );
    cut_off.unwrap_err();
    fleet.one.ended().await;
    fleet.mock.latency(std::time::Duration::ZERO);
    let answer = fleet.two.process(ask).await;
    assert_eq!((&answer["source"], fleet.mock.count()), (&json!("llm"), 2), "{answer}");
}

#[tokio::test]
async fn no_request_waits_for_a_lease_on_a_redis_without_scripts() {
    let fleet = Fleet::start(&AMPLE).await;
    fleet.redis.command(&["ACL", "SETUSER", "default", "-@scripting"]).await.unwrap();
    let ask = json!({"prompt": "make the sky purple", "active_image": true, "user_id": "ann"});
    for service in [&fleet.one, &fleet.two] {
        // The dollar limits need scripts too, so the local classifier answers.
        service.process(ask.clone()).await;
        // No lease is ever held, so no request waits for one.
        assert_eq!(fleet.redis.command(&["KEYS", "*:l:*"]).await.unwrap(), "");
    }
    assert!(fleet.one.log().iter().any(|line| line.contains("redis refuses scripts")));
}

/// Returns the enhanced prompt of a user for the same prompt.
async fn enhanced(service: &Service, user: &str) -> String {
    let body = json!({"prompt": "make the sky purple", "active_image": true, "user_id": user});
    service.process(body).await["enhanced_prompt"].as_str().unwrap().to_owned()
}

async fn as_admin(service: &Service, method: Method, path: &str, body: Value) -> Value {
    let request = service.request(method, path).bearer_auth("root").json(&body);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    response.json().await.unwrap()
}

#[tokio::test]
async fn prompts_enhanced_for_a_deleted_user_are_never_served_again() {
    let fleet = Fleet::start(&AMPLE).await;
    let (one, two) = (&fleet.one, &fleet.two);
    let says = |text: &str| fleet.mock.answer_with(Answer::of("EDIT_IMAGE").enhanced(text));
    says("written for ann");
    assert_eq!(enhanced(one, "ann").await, "written for ann");
    assert_eq!(enhanced(two, "ann").await, "written for ann");

    // The same prompt of another user is another entry, before and after the deletion.
    says("written for bob");
    assert_eq!(enhanced(two, "bob").await, "written for bob");
    as_admin(one, Method::DELETE, "/admin/users/ann", Value::Null).await;
    says("written for carol");
    assert_eq!(enhanced(one, "carol").await, "written for carol");
    says("written for ann again");
    until("no instance has the old text", async || enhanced(two, "ann").await == "written for ann again")
        .await;
    assert_eq!(enhanced(one, "ann").await, "written for ann again");
    assert_eq!(enhanced(one, "bob").await, "written for bob", "others keep what they have");
}

#[tokio::test]
async fn after_an_invalidation_the_new_text_of_the_ai_is_served() {
    let fleet = Fleet::start(&AMPLE).await;
    let (one, two) = (&fleet.one, &fleet.two);
    for turn in ["the first text", "the second text", "the third text"] {
        fleet.mock.answer_with(Answer::of("EDIT_IMAGE").enhanced(turn));
        as_admin(one, Method::POST, "/admin/cache/invalidate", json!({"user_id": "ann"})).await;
        assert_eq!(enhanced(one, "ann").await, turn);
        until("the other instance serves it too", async || enhanced(two, "ann").await == turn).await;
    }
}

#[tokio::test]
async fn a_request_under_way_at_a_deletion_leaves_no_row_and_no_entry() {
    // The deletion is repeated when every request of its time has ended: that is soon here.
    let fleet = Fleet::start(&[("CLASSIFICATION_TIMEOUT", "5")]).await;
    let (one, two) = (&fleet.one, &fleet.two);
    fleet.mock.latency(std::time::Duration::from_secs(2));
    let (_, ()) = tokio::join!(enhanced(two, "ann"), async {
        fleet.mock.arrived(1).await;
        as_admin(one, Method::DELETE, "/admin/users/ann", Value::Null).await;
    });
    settled(two).await;
    let database = &fleet.environment.iter().find(|(name, _)| *name == "DATABASE_URL").unwrap().1;
    let all =
        TABLES.map(|table| format!("SELECT user_id FROM {table} WHERE user_id = 'ann'")).join(" UNION ALL ");
    let left = format!("SELECT count(*) FROM ({all}) AS rows");
    until("its rows are deleted", async || number(shared().await, database, &left).await == 0).await;
    fleet.mock.latency(std::time::Duration::ZERO);
    fleet.mock.answer_with(Answer::of("EDIT_IMAGE").enhanced("after the deletion"));
    assert_eq!(enhanced(two, "ann").await, "after the deletion");
}
