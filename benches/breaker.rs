//! The cost of a guarded call next to its peers: no guard, `recloser`, `failsafe`, and tower's
//! `tower-resilience-circuitbreaker`.
//!
//! Set-up is outside of the loops, and every contender guards the same call: one that returns a
//! number. Compare ratios within one run. `scaling` runs one breaker from one thread and from two
//! and reports the time per call of each thread, so equal times mean that two threads do twice the
//! work.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use failsafe::CircuitBreaker as _;
use picarcade_breaker::{CircuitBreaker, CircuitBreakerLayer, Clock, Config, SlowCalls, WindowSize};
use tower::{Layer, Service, service_fn};

fn work() -> Result<u64, &'static str> {
    black_box(Ok(black_box(7)))
}

fn guarded(breaker: &CircuitBreaker) -> Result<u64, &'static str> {
    let Ok(permit) = breaker.try_acquire() else { return Err("rejected") };
    let result = work();
    if result.is_ok() {
        permit.success()
    } else {
        permit.failure()
    };
    result
}

fn breaker(config: Config) -> CircuitBreaker {
    CircuitBreaker::new("anthropic", config).unwrap()
}

fn windows(clock: Clock) -> Config {
    let slow = SlowCalls { longer_than: Duration::from_secs(10), rate: 0.5 };
    Config::default().failure_rate(0.5).slow_calls(slow).clock(clock)
}

fn opened(config: Config) -> CircuitBreaker {
    let breaker = breaker(config.failure_threshold(1).open_for(Duration::from_hours(1)));
    breaker.try_acquire().unwrap().failure();
    breaker
}

fn failsafe_window() -> impl failsafe::CircuitBreaker {
    let backoff = failsafe::backoff::constant(Duration::from_secs(60));
    let policy =
        failsafe::failure_policy::success_rate_over_time_window(0.5, 10, Duration::from_secs(60), backoff);
    failsafe::Config::new().failure_policy(policy).build()
}

fn closed_call(c: &mut Criterion) {
    let mut group = c.benchmark_group("breaker/closed_call");
    group.bench_function("nothing", |b| b.iter(work));

    let recloser = recloser::Recloser::custom().build();
    group.bench_function("recloser", |b| b.iter(|| recloser.call(work)));
    let failsafe = failsafe::Config::new().build();
    group.bench_function("failsafe", |b| b.iter(|| failsafe.call(work)));
    let failsafe = failsafe_window();
    group.bench_function("failsafe, window", |b| b.iter(|| failsafe.call(work)));

    for (name, config) in [
        ("ours, consecutive", Config::default()),
        ("ours, count window", Config::default().failure_rate(0.5).window(WindowSize::Calls(100))),
        ("ours, time window", Config::default().failure_rate(0.5)),
        ("ours, time window and slow calls", windows(Clock::Tokio)),
        ("ours, time window and slow calls, cached clock", windows(Clock::Cached)),
    ] {
        let breaker = breaker(config);
        group.bench_function(name, |b| b.iter(|| guarded(&breaker)));
    }
    group.finish();
}

fn rejection(c: &mut Criterion) {
    let mut group = c.benchmark_group("breaker/rejection");
    let recloser = recloser::Recloser::custom().open_wait(Duration::from_secs(3600)).build();
    for _ in 0..1000 {
        let _ = recloser.call(|| Err::<u64, _>("down"));
    }
    group.bench_function("recloser", |b| b.iter(|| recloser.call(work).is_err()));
    let failsafe = failsafe::Config::new()
        .failure_policy(failsafe::failure_policy::consecutive_failures(
            1,
            failsafe::backoff::constant(Duration::from_secs(3600)),
        ))
        .build();
    for _ in 0..10 {
        let _ = failsafe.call(|| Err::<u64, _>("down"));
    }
    group.bench_function("failsafe", |b| b.iter(|| failsafe.call(work).is_err()));
    for (name, config) in [
        ("ours", Config::default()),
        ("ours, cached clock", Config::default().clock(Clock::Cached)),
        ("ours, time window and slow calls", windows(Clock::Tokio)),
        ("ours, time window and slow calls, cached clock", windows(Clock::Cached)),
    ] {
        let breaker = opened(config);
        group.bench_function(name, |b| b.iter(|| black_box(guarded(&breaker)).is_err()));
    }
    group.finish();
}

/// Returns the nanoseconds per call of each of `threads` threads on one guard.
fn on_threads(threads: usize, iterations: u64, call: &(impl Fn() + Sync)) -> Duration {
    let barrier = std::sync::Barrier::new(threads);
    let run = || {
        barrier.wait();
        let start = Instant::now();
        (0..iterations).for_each(|_| call());
        start.elapsed()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).max().unwrap_or_default()
    })
}

fn scaling(c: &mut Criterion) {
    let mut group = c.benchmark_group("breaker/scaling");
    let recloser = recloser::Recloser::custom().build();
    let failsafe = failsafe::Config::new().build();
    let consecutive = breaker(Config::default());
    let time = breaker(windows(Clock::Cached));
    let count = breaker(Config::default().failure_rate(0.5).window(WindowSize::Calls(100)));
    for threads in [1, 2] {
        let mut bench = |name: &str, call: &(dyn Fn() + Sync)| {
            group.bench_function(BenchmarkId::new(name, threads), |b| {
                b.iter_custom(|iterations| on_threads(threads, iterations, &call));
            });
        };
        bench("recloser", &|| {
            let _ = black_box(recloser.call(work));
        });
        bench("failsafe", &|| {
            let _ = black_box(failsafe.call(work));
        });
        bench("ours, consecutive", &|| {
            let _ = black_box(guarded(&consecutive));
        });
        bench("ours, time window and slow calls, cached clock", &|| {
            let _ = black_box(guarded(&time));
        });
        bench("ours, count window", &|| {
            let _ = black_box(guarded(&count));
        });
    }
    group.finish();
}

fn layer(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut group = c.benchmark_group("breaker/layer");
    let inner = || service_fn(|(): ()| std::future::ready(work()));
    let mut bare = inner();
    group.bench_function("nothing", |b| b.to_async(&runtime).iter(|| bare.call(())));
    let mut ours = CircuitBreakerLayer::new(breaker(Config::default())).layer(inner());
    group.bench_function("ours", |b| b.to_async(&runtime).iter(|| ours.call(())));
    let peer = tower_resilience_circuitbreaker::CircuitBreakerLayer::builder().build().unwrap();
    let mut peer = peer.layer_fn(inner());
    group.bench_function("tower-resilience", |b| {
        b.to_async(&runtime).iter(|| {
            // Readiness is part of the bookkeeping of the service; a call without it is refused.
            let ready = futures_util::future::poll_fn(|cx| Service::<()>::poll_ready(&mut peer, cx));
            let ready = futures_util::FutureExt::now_or_never(ready);
            assert!(matches!(ready, Some(Ok(()))));
            peer.call(())
        });
    });
    group.finish();
}

criterion_group!(benches, closed_call, rejection, scaling, layer);
criterion_main!(benches);
