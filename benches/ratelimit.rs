//! One decision over four scopes and nine limits: our limiter in memory against nine keyed checks
//! of governor; our limiter in Redis against a script that increments one counter; and both with
//! leases.
//!
//! The checks of governor are sequential: a request that the ninth denies has consumed eight. Ours
//! is one decision that also reports the state of every limit. `subjects` has many subjects and
//! shows that the time does not grow with them.
#![allow(missing_docs, clippy::expect_used, reason = "a bench that cannot begin has nothing to measure")]

use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use picarcade_benches::{each, in_turn, is_wanted};
use picarcade_ratelimit::{Demand, Leases, Limit, Limiter, RedisStore, Scope, Subjects, Window};
use picarcade_redis::{Config, RedisHandle, Script};
use picarcade_testkit::RedisServer;
use tokio::runtime::Runtime;

/// So large that no request is denied during a bench.
const PLENTY: u64 = 1 << 50;
const WINDOWS: [u64; 3] = [60, 3600, 86_400];

fn limits() -> Vec<Limit> {
    let sliding = |seconds| Window::Sliding(Duration::from_secs(seconds));
    let requests = |scope, seconds| Limit::requests(scope, PLENTY, sliding(seconds));
    let cost = |scope, seconds| Limit::cost(scope, PLENTY, sliding(seconds));
    let [minute, hour, day] = WINDOWS;
    vec![
        requests(Scope::User, minute),
        requests(Scope::User, hour),
        cost(Scope::User, hour),
        requests(Scope::ApiKey, minute),
        requests(Scope::ApiKey, hour),
        requests(Scope::Endpoint, minute),
        requests(Scope::Global, minute),
        requests(Scope::Global, hour),
        cost(Scope::Global, day),
    ]
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn decision(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("ratelimit/decision");

    let limiter = Limiter::builder().limits(limits()).build().expect("limits");
    group.bench_function("picarcade 4 scopes x 9 limits", |bencher| {
        bencher.to_async(&runtime).iter(|| async {
            let subjects = Subjects::default().user("user-0192f0").api_key("partner").endpoint("process");
            black_box(limiter.acquire(&subjects, Demand::requests(1)).await.expect("a decision"))
        });
    });

    let quota = Quota::per_second(NonZeroU32::MAX).allow_burst(NonZeroU32::MAX);
    let governors: Vec<DefaultKeyedRateLimiter<String>> = (0..9).map(|_| RateLimiter::keyed(quota)).collect();
    let keys: Vec<String> =
        ["user-0192f0", "user-0192f0", "user-0192f0", "partner", "partner", "process", "*", "*", "*"]
            .map(str::to_owned)
            .to_vec();
    group.bench_function("governor 9 keyed checks", |bencher| {
        bencher.to_async(&runtime).iter(|| async {
            for (governor, key) in governors.iter().zip(&keys) {
                black_box(governor.check_key(key)).expect("room");
            }
        });
    });
    group.finish();
}

fn subjects(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("ratelimit/subjects");
    for count in [10_usize, 10_000, 1_000_000] {
        let users: Vec<String> = (0..count).map(|user| format!("user-{user:07}")).collect();
        let limiter = Limiter::builder().limits(limits()).max_subjects(1 << 20).build().expect("limits");
        runtime.block_on(async {
            for user in &users {
                let _ = limiter
                    .acquire(&Subjects::default().user(user), Demand::requests(1))
                    .await
                    .expect("a decision");
            }
        });
        // A stride that is coprime to all three, so that every decision has another subject.
        let mut next = 0;
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| {
                next = (next + 7919) % count;
                let user = users.get(next).map(String::as_str).unwrap_or_default();
                let subjects = Subjects::default().user(user).api_key("partner").endpoint("process");
                black_box(
                    runtime.block_on(limiter.acquire(&subjects, Demand::requests(1))).expect("a decision"),
                )
            });
        });
    }
    group.finish();
}

/// Tasks share the calls. The time of one call is the total time divided by their number.
fn shared<F>(runtime: &Runtime, tasks: u32, call: impl Fn() -> F + Clone + Send + 'static) -> Duration
where
    F: Future<Output = ()> + Send,
{
    const CALLS: u32 = 100;
    each(CALLS * tasks, || {
        runtime.block_on(async {
            let mut set = tokio::task::JoinSet::new();
            for _ in 0..tasks {
                let call = call.clone();
                set.spawn(async move {
                    for _ in 0..CALLS {
                        call().await;
                    }
                });
            }
            set.join_all().await;
        });
    })
}

async fn decide(limiter: Limiter) {
    let subjects = Subjects::default().user("user-0192f0").api_key("partner").endpoint("process");
    let decision = limiter.acquire(&subjects, Demand::requests(1)).await.expect("a decision");
    assert!(!decision.report().local, "the store is away");
    let _ = black_box(decision);
}

fn redis(_: &mut Criterion) {
    if !is_wanted("ratelimit/redis") {
        return;
    }
    let server = runtime().block_on(RedisServer::start()).expect("a redis-server");
    // Wake-ups between threads, which take up to several round trips, must not dominate the time of
    // a single call.
    let one_thread = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    rivals(1, &one_thread, &server);
    rivals(64, &runtime(), &server);
}

fn rivals(tasks: u32, runtime: &Runtime, server: &RedisServer) {
    let handle = runtime.block_on(async {
        let config = Config { prefix: "bench:".to_owned(), ..Config::new(server.url()) };
        let handle = RedisHandle::connect(config).expect("a usable configuration");
        handle.ready(Duration::from_secs(10)).await.expect("a connection");
        handle
    });
    let store = Arc::new(RedisStore::new(handle.clone()));
    let exact = Limiter::builder().limits(limits()).store(store).build().expect("limits");
    let requests = limits().into_iter().filter(|limit| limit.unit() == picarcade_ratelimit::Unit::Requests);
    let leases = Leases::of(requests.clone().map(|limit| limit.name().to_owned())).largest(100_000);
    let store = Arc::new(RedisStore::new(handle.clone()).tag("leased"));
    let leased = Limiter::builder().limits(requests).store(store).leases(leases).build().expect("limits");
    let script = Arc::new(Script::new("bench.one_counter", "return redis.call('INCR', KEYS[1])"));

    let count = move || {
        let (handle, script) = (handle.clone(), Arc::clone(&script));
        async move {
            black_box(handle.eval(&script, &[b"counter"], &[b"1"]).await.expect("an answer"));
        }
    };
    let decide_by = |limiter: Limiter| move || decide(limiter.clone());
    let (exact, leased) = (decide_by(exact), decide_by(leased));
    in_turn(
        &format!("ratelimit/redis/{tasks}"),
        200,
        &mut [
            ("one counter script", Box::new(|| shared(runtime, tasks, count.clone()))),
            ("picarcade 9 limits", Box::new(|| shared(runtime, tasks, exact.clone()))),
            ("picarcade 7 limits leased", Box::new(|| shared(runtime, tasks, leased.clone()))),
        ],
    );
}

criterion_group!(benches, decision, redis, subjects);
criterion_main!(benches);
