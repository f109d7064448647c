//! Every dependency fails at once and comes back under a hundred users. No user gets an error, and
//! no event is lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use picarcade_testkit::{Answer, Fault, FaultProxy, MockProvider, PostgresServer, RedisServer};
use serde_json::json;

use crate::database::{migrated, number, rows, settled};
use crate::failing_database::UNLIMITED;
use crate::service::{Service, until};

const USERS: usize = 100;

/// The number of responses by status, and their total.
#[derive(Default)]
struct Tally {
    answers: AtomicU64,
    stop: AtomicBool,
}

#[tokio::test]
async fn no_request_fails_while_every_dependency_fails_and_recovers() {
    let (redis, postgres, mock) =
        tokio::try_join!(RedisServer::start(), PostgresServer::start(), MockProvider::start()).unwrap();
    let url = migrated(&postgres).await;
    let network = FaultProxy::start(mock.addr()).await.unwrap();
    mock.answer_with(Answer::of("EDIT_IMAGE"));
    let (redis_url, mock_url) = (redis.url(), network.url_for("http"));
    let mut environment = vec![
        ("REDIS_URL", &*redis_url),
        ("DATABASE_URL", &*url),
        ("ANTHROPIC_API_KEY", "k"),
        ("ANTHROPIC_BASE_URL", &*mock_url),
        ("CLASSIFICATION_TIMEOUT", "2"),
        ("CIRCUIT_BREAKER_TIMEOUT", "1"),
    ];
    environment.extend(UNLIMITED);
    let service = Arc::new(Service::start(&environment).await);
    let tally = Arc::new(Tally::default());
    let users: Vec<_> = (0..USERS)
        .map(|user| tokio::spawn(send_requests(user, Arc::clone(&service), Arc::clone(&tally))))
        .collect();
    let progress = async |answers: u64| {
        let goal = tally.answers.load(Ordering::Relaxed) + answers;
        until("the users go on", async || tally.answers.load(Ordering::Relaxed) >= goal).await;
    };

    progress(200).await;
    // All dependencies refuse connections at once.
    redis.kill();
    postgres.kill();
    network.set(Fault::Cut).await;
    progress(300).await;
    let (redis_back, postgres_back) = tokio::join!(redis.restart(), postgres.restart());
    redis_back.and(postgres_back).unwrap();
    network.set(Fault::Pass).await;
    progress(200).await;
    // All dependencies are silent at once, which is worse.
    redis.pause();
    postgres.pause();
    network.set(Fault::BlackHole).await;
    progress(200).await;
    redis.resume();
    postgres.resume();
    network.set(Fault::Pass).await;
    progress(100).await;
    tally.stop.store(true, Ordering::Relaxed);

    let mut statuses = BTreeMap::<u16, u64>::new();
    for user in users {
        for (status, count) in user.await.unwrap() {
            *statuses.entry(status).or_default() += count;
        }
    }
    let answered = tally.answers.load(Ordering::Relaxed);
    assert_eq!(statuses, BTreeMap::from([(200, answered)]));
    let mut asked = 0;
    until("answers are whole again", async || {
        asked += 1;
        let body = json!({"prompt": format!("paint the town {asked}"), "active_image": true});
        let answer = service.process(body).await;
        answer["degraded"] == json!([]) && answer["source"] == "llm"
    })
    .await;
    let counters = settled(&service).await;
    let accepted = counters["accepted"].as_u64().unwrap();
    assert_eq!(
        (&counters["committed"], &counters["dead_lettered"], &counters["dropped"]),
        (&json!(accepted), &json!(0), &json!(0)),
        "{counters}"
    );
    assert_eq!(rows(&postgres, &url).await, (accepted, accepted));
    let classified = number(&postgres, &url, "SELECT count(*) FROM intent_classification_logs").await;
    assert_eq!(classified, answered + asked);
    assert!(service.log().len() < service.log_bound(), "{} lines", service.log().len());
}

/// Sends requests until the test ends: some prompts often, some once, on three routes. Returns the
/// number of responses by status.
async fn send_requests(user: usize, service: Arc<Service>, tally: Arc<Tally>) -> BTreeMap<u16, u64> {
    let mut statuses = BTreeMap::new();
    for turn in 0.. {
        if tally.stop.load(Ordering::Relaxed) {
            break;
        }
        let prompt =
            if turn % 3 == 0 { format!("make tree {turn} of {user} red") } else { "make it red".to_owned() };
        let body = json!({"prompt": prompt, "active_image": true, "user_id": format!("user-{user}")});
        let status = match turn % 4 {
            0 => service.post("/api/v2/classify-only", &body).await.0,
            1 => {
                let (status, answer) = service.post("/api/v2/batch", &json!([body])).await;
                assert_eq!(answer["succeeded"], 1, "{answer}");
                status
            }
            _ => service.post("/api/v2/process", &body).await.0,
        };
        *statuses.entry(status).or_default() += 1;
        tally.answers.fetch_add(1, Ordering::Relaxed);
    }
    statuses
}
