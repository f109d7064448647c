//! Failures of batches: every caller is answered as if it had been alone.

use std::sync::Arc;

use picarcade_ratelimit::{Limit, Limiter, Mode, RedisStore, Scope, Store, Subjects};
use picarcade_redis::{Config, RedisHandle};
use picarcade_testkit::{Fault, FaultProxy, RedisServer};

use crate::crowd::{Answer, PASSED, answers, ask, crowd, hourly, limiter_on, stopped};
use crate::redis::{connect, connect_within, until};
use crate::setup::{Setup, ada, contract, passes, secs, settle_down, sliding, spends, used};

#[tokio::test]
async fn a_caller_that_leaves_does_not_affect_the_rest_of_its_batch() {
    let server = RedisServer::start().await.unwrap();
    let limiter = limiter_on(&server, hourly(1000), secs(30)).await;
    let crowd = stopped(&limiter, &server).await;
    // The first, the last and other requests of both batches, and the first and the last of the
    // waiting requests.
    for leaves in [1, 2, 20, 32, 33, 64, 65, 75] {
        crowd[leaves].abort();
    }
    settle_down().await;
    server.resume();
    let all = answers(crowd).await;
    assert_eq!(all.len(), 76 - 8);
    assert!(all.iter().all(|answer| *answer == PASSED), "{all:?}");
    // The two requests that were not sent are not charged; the others stay counted.
    assert_eq!(used(&limiter, &ada(), "user-requests-3600s").await, (3 + 76 - 2, 0));
}

#[tokio::test]
async fn waiting_requests_are_sent_when_the_caller_of_the_first_one_leaves() {
    let server = RedisServer::start().await.unwrap();
    let limiter = limiter_on(&server, hourly(1000), secs(30)).await;
    let crowd = stopped(&limiter, &server).await;
    crowd[0].abort();
    settle_down().await;
    // They are on their way now, so a request whose caller leaves stays counted.
    crowd[70].abort();
    settle_down().await;
    server.resume();
    let all = answers(crowd).await;
    assert_eq!(all.len(), 74);
    assert!(all.iter().all(|answer| *answer == PASSED), "{all:?}");
    assert_eq!(used(&limiter, &ada(), "user-requests-3600s").await, (3 + 76, 0));
}

#[tokio::test]
async fn a_batch_whose_callers_all_leave_does_not_block_later_requests() {
    let server = RedisServer::start().await.unwrap();
    let limiter = limiter_on(&server, hourly(1000), secs(30)).await;
    let crowd = stopped(&limiter, &server).await;
    // In reverse, so the waiting requests are gone before they would be sent.
    for caller in crowd.iter().rev() {
        caller.abort();
        settle_down().await;
    }
    server.resume();
    assert!(answers(crowd).await.is_empty());
    for _ in 0..3 {
        assert!(passes(&limiter, &ada(), 1).await);
    }
    assert_eq!(used(&limiter, &ada(), "user-requests-3600s").await, (3 + 65 + 3, 0));
}

#[tokio::test]
async fn requests_of_a_killed_server_are_decided_locally() {
    let server = RedisServer::start().await.unwrap();
    let limiter = limiter_on(&server, hourly(80), secs(30)).await;
    let crowd = stopped(&limiter, &server).await;
    server.kill();
    let all = answers(crowd).await;
    assert_eq!(all.len(), 76, "sent and waiting requests");
    assert!(all.iter().all(|answer| answer.local));
    assert_eq!(all.iter().filter(|answer| answer.passed).count(), 20, "80 among 4 instances");
    assert_eq!((limiter.mode(), limiter.statistics().mode_changes), (Mode::Local, 1));
    server.restart().await.unwrap();
    until(&limiter, Mode::Exact).await;
}

#[tokio::test]
async fn waiting_requests_are_not_sent_to_a_server_that_does_not_answer() {
    let server = RedisServer::start().await.unwrap();
    let limiter = limiter_on(&server, hourly(1000), secs(3)).await;
    let all = answers(stopped(&limiter, &server).await).await;
    assert!(all.iter().all(|answer| answer.local && answer.passed));
    server.resume();
    until(&limiter, Mode::Exact).await;
    let counted = used(&limiter, &ada(), "user-requests-3600s").await.0;
    assert!(counted <= 3 + 65, "{counted}: a request that was not sent is charged");
}

#[tokio::test]
async fn a_batch_with_a_lost_answer_is_charged_once_and_decided_locally() {
    let server = RedisServer::start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let redis = connect_within(&proxy.through(&server.url()), "own:", secs(3)).await;
    let limits = [hourly(1000)[0].clone(), Limit::cost(Scope::User, 100, sliding(3600))];
    let store: Arc<dyn Store> = Arc::new(RedisStore::new(redis));
    let limiter = Limiter::builder().limits(limits).store(store).build().unwrap();
    // The server must know both scripts, because it would not run an unknown one.
    assert_eq!(answers(crowd(&limiter, 3)).await.len(), 3);
    proxy.set(Fault::LoseReplies).await;
    let all = answers(crowd(&limiter, 1 + 40)).await;
    assert_eq!(all.len(), 41);
    assert!(all.iter().all(|answer| answer.local));
    proxy.set(Fault::Pass).await;
    until(&limiter, Mode::Exact).await;
    assert_eq!(
        used(&limiter, &ada(), "user-requests-3600s").await,
        (3 + 1 + 32, 0),
        "each sent request once"
    );
    assert!(spends(&limiter, &ada(), 100).await, "no dollars were charged");
}

#[tokio::test]
async fn a_batch_is_repeated_if_the_server_forgot_the_script() {
    let server = RedisServer::start().await.unwrap();
    let limiter = limiter_on(&server, hourly(1000), secs(30)).await;
    assert!(answers(crowd(&limiter, 70)).await.iter().all(|answer| !answer.local));
    for _ in 0..3 {
        server.command(&["SCRIPT", "FLUSH"]).await.unwrap();
        assert!(answers(crowd(&limiter, 70)).await.iter().all(|answer| *answer == PASSED));
    }
    assert_eq!(used(&limiter, &ada(), "user-requests-3600s").await, (280, 0));
}

#[tokio::test]
async fn an_invalid_request_does_not_affect_the_rest_of_its_batch() {
    let server = RedisServer::start().await.unwrap();
    let config = Config {
        prefix: "own:".to_owned(),
        command_timeout: secs(30),
        max_key_bytes: 100,
        ..Config::new(server.url())
    };
    let redis = RedisHandle::connect(config).unwrap();
    redis.ready(secs(120)).await.unwrap();
    let limits = [hourly(3)[0].clone(), Limit::requests(Scope::Global, 1000, sliding(3600))];
    let limiter = Limiter::builder().limits(limits).store(Arc::new(RedisStore::new(redis))).build().unwrap();
    let long = "x".repeat(100);
    let callers = (0..60).map(|index| {
        let user = if index % 20 == 7 { long.clone() } else { index.to_string() };
        ask(&limiter, Subjects::default().user(user))
    });
    for (index, answer) in answers(callers.collect()).await.into_iter().enumerate() {
        assert_eq!(answer, Answer { passed: true, local: index % 20 == 7 }, "{index}");
    }
    assert_eq!(used(&limiter, &Subjects::default(), "global-requests-3600s").await, (57, 0));
}

#[tokio::test]
async fn a_foreign_value_at_a_key_does_not_affect_other_requests() {
    let server = RedisServer::start().await.unwrap();
    let redis = connect(&server.url(), "own:").await;
    let setup = Setup::new(|clock| Arc::new(RedisStore::new(redis).with_clock(clock)));
    let limiter = setup.limiter([Limit::requests(Scope::User, 5, sliding(60)), contract()[3].clone()]);
    let all_users = async || {
        let callers =
            (0..40).map(|index| ask(&limiter, Subjects::default().user(format!("user-{}", index % 20))));
        assert!(answers(callers.collect()).await.iter().all(|answer| *answer == PASSED));
    };
    all_users().await;
    let keys = server.command(&["KEYS", "own:*:user:user-1"]).await.unwrap();
    let key = keys.trim().to_owned();
    // A hash in place of a state, strings of several lengths, and a string in place of past
    // buckets.
    server.command(&["DEL", &key]).await.unwrap();
    server.command(&["HSET", &key, "a", "b"]).await.unwrap();
    for (user, length) in [(2, 1), (3, 28), (4, 59), (5, 5000)] {
        let key = key.replace("user-1", &format!("user-{user}"));
        server.command(&["SET", &key, &"\u{1}".repeat(length)]).await.unwrap();
    }
    server.command(&["SET", &key.replace("user-1", "user-6:p"), "x"]).await.unwrap();
    for _ in 0..2 {
        setup.pass(secs(1));
        all_users().await;
        setup.pass(secs(61));
    }
    assert_eq!(used(&limiter, &Subjects::default(), "global-requests-3600s").await, (120, 0));
}

/// The task that sends batches runs on the runtime of the caller that was answered last.
#[test]
fn requests_of_another_runtime_are_answered_when_the_sending_runtime_ends() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (ends, stays) = (runtime(), runtime());
    let (server, limiter) = stays.block_on(async {
        let server = RedisServer::start().await.unwrap();
        let limiter = limiter_on(&server, hourly(1000), secs(60)).await;
        assert!(passes(&limiter, &ada(), 1).await);
        (server, limiter)
    });
    server.pause();
    ends.block_on(async {
        drop(crowd(&limiter, 1));
        settle_down().await;
    });
    let waiting = stays.block_on(async {
        let waiting = crowd(&limiter, 5);
        settle_down().await;
        waiting
    });
    drop(ends);
    let all = stays.block_on(answers(waiting));
    assert_eq!(all.len(), 5);
    assert!(all.iter().all(|answer| answer.local), "{all:?}");
    server.resume();
    stays.block_on(until(&limiter, Mode::Exact));
}
