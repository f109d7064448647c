//! Many concurrent requests, and what their callers receive.
//!
//! On a runtime with one thread the order is known. The first request is sent by itself, each 32
//! requests that follow are sent together at once, and the rest is sent when the first request is
//! answered or its caller has left. A stopped server keeps all of them on their way.

use std::sync::Arc;
use std::time::Duration;

use picarcade_ratelimit::{Demand, Limit, Limiter, RedisStore, Scope, Subjects};
use picarcade_testkit::RedisServer;
use tokio::task::JoinHandle;

use crate::redis::connect_within;
use crate::setup::{ada, settle_down, sliding};

/// The most requests of a batch.
pub const BATCH: usize = 32;

/// The answer to one request: whether it passed, and whether it was decided locally.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub passed: bool,
    pub local: bool,
}

pub const PASSED: Answer = Answer { passed: true, local: false };

/// Starts one request.
pub fn ask(limiter: &Limiter, subjects: Subjects<'static>) -> JoinHandle<Answer> {
    let limiter = limiter.clone();
    tokio::spawn(async move {
        let decision = limiter.acquire(&subjects, Demand::requests(1)).await.unwrap();
        Answer { passed: decision.is_admitted(), local: decision.report().local }
    })
}

/// Starts `count` requests of one user, in this order.
pub fn crowd(limiter: &Limiter, count: usize) -> Vec<JoinHandle<Answer>> {
    (0..count).map(|_| ask(limiter, ada())).collect()
}

/// Returns the answers to the callers that did not leave.
pub async fn answers(crowd: Vec<JoinHandle<Answer>>) -> Vec<Answer> {
    let mut answers = Vec::new();
    for caller in crowd {
        match caller.await {
            Ok(answer) => answers.push(answer),
            Err(error) => assert!(error.is_cancelled(), "{error}"),
        }
    }
    answers
}

/// Creates a limiter on `server`, as one of four instances.
pub async fn limiter_on(
    server: &RedisServer,
    limits: impl IntoIterator<Item = Limit>,
    timeout: Duration,
) -> Limiter {
    let store = RedisStore::new(connect_within(&server.url(), "own:", timeout).await);
    Limiter::builder().limits(limits).store(Arc::new(store)).expected_instances(4).build().unwrap()
}

pub fn hourly(limit: u64) -> [Limit; 1] {
    [Limit::requests(Scope::User, limit, sliding(3600))]
}

/// Starts a crowd in front of a stopped server: one request by itself and two batches are on their
/// way, and 11 requests wait.
pub async fn stopped(limiter: &Limiter, server: &RedisServer) -> Vec<JoinHandle<Answer>> {
    // The server must know both scripts, because an unknown one would have to be sent again.
    assert_eq!(answers(crowd(limiter, 3)).await.len(), 3);
    server.pause();
    let crowd = crowd(limiter, 1 + 2 * BATCH + 11);
    settle_down().await;
    crowd
}
