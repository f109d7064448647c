//! The memory store: the common contract, and its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use picarcade_ratelimit::{
    ConfigError, Demand, Error, Limit, Limiter, Mode, Outcome, Scope, Subjects, Window,
};
use picarcade_testkit::stay_within_one_day;

use crate::conformance::conformance;
use crate::setup::{Book, Setup, ada, contract, passes, secs, sliding, spends, used};

conformance!(async { Setup::memory() });

fn embedded(limits: impl IntoIterator<Item = Limit>) -> Limiter {
    Limiter::builder().limits(limits).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_clock_follows_paused_time() {
    let limiter = embedded(contract());
    assert!(passes(&limiter, &ada(), 100).await);
    assert!(!passes(&limiter, &ada(), 1).await);
    tokio::time::advance(secs(61)).await;
    assert!(passes(&limiter, &ada(), 100).await);
    assert_eq!(limiter.mode(), Mode::Exact);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_future_and_a_panic_release_the_reservation() {
    let limiter = embedded([Limit::cost(Scope::User, 100, sliding(60))]);
    let held = limiter.acquire(&ada(), Demand::cost_micros(100)).await.unwrap();
    let call = async move {
        let _held = held;
        std::future::pending::<()>().await;
    };
    assert!(tokio::time::timeout(secs(1), call).await.is_err());
    assert_eq!(used(&limiter, &ada(), "user-cost-60s").await, (0, 0));

    let panicking = limiter.clone();
    let task = tokio::spawn(async move {
        let _held = panicking.acquire(&ada(), Demand::cost_micros(100)).await.unwrap();
        panic!("a bug of the caller");
    });
    assert!(task.await.is_err());
    assert_eq!(used(&limiter, &ada(), "user-cost-60s").await, (0, 0));
}

#[test]
fn many_threads_admit_exactly_the_limit() {
    let limiter = embedded([
        Limit::requests(Scope::User, 1000, sliding(3600)),
        Limit::requests(Scope::Endpoint, 1500, sliding(3600)),
        Limit::requests(Scope::Global, 100, sliding(3600)),
    ]);
    let admitted = Arc::new(std::sync::atomic::AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (limiter, admitted) = (limiter.clone(), Arc::clone(&admitted));
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let user = format!("user-{}", thread % 3);
                let subjects = Subjects::default().user(&user).endpoint("process");
                for _ in 0..125 {
                    if runtime.block_on(passes(&limiter, &subjects, 1)) {
                        admitted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(admitted.load(Ordering::Relaxed), 100);
}

#[tokio::test]
async fn a_flood_of_a_million_users_is_bounded_and_evicts_no_active_user() {
    let limiter = Limiter::builder()
        .limit(Limit::requests(Scope::User, 100, sliding(3600)))
        .limit(Limit::cost(Scope::User, 1000, sliding(3600)))
        .max_subjects(4096)
        .build()
        .unwrap();
    let active: Vec<_> = (0..1000).map(|user| format!("active-{user}")).collect();
    for user in &active {
        let subjects = Subjects::default().user(user);
        assert!(passes(&limiter, &subjects, 30).await);
        assert!(passes(&limiter, &subjects, 10).await);
    }
    let payer = Subjects::default().user("payer");
    assert!(spends(&limiter, &payer, 700).await, "seen once, but with dollars");
    for user in 0..1_000_000_u32 {
        let user = user.to_string();
        assert!(passes(&limiter, &Subjects::default().user(&user), 1).await);
    }
    let statistics = limiter.statistics();
    assert!(statistics.subjects <= 4096, "{statistics:?}");
    assert!(statistics.evicted > 990_000, "{statistics:?}");
    for user in &active {
        assert_eq!(
            used(&limiter, &Subjects::default().user(user), "user-requests-3600s").await,
            (40, 0),
            "{user}"
        );
    }
    assert_eq!(used(&limiter, &payer, "user-cost-3600s").await, (700, 0));
}

#[tokio::test(start_paused = true)]
async fn dollars_are_rejected_at_the_bound_of_reservations() {
    let limiter = Limiter::builder()
        .limit(Limit::cost(Scope::Global, 1000, Window::UtcDay))
        .max_reservations(2)
        .build()
        .unwrap();
    let first = limiter
        .acquire(&ada(), Demand::cost_micros(1))
        .await
        .unwrap()
        .admitted()
        .unwrap()
        .reservation
        .detach();
    let _second = limiter
        .acquire(&ada(), Demand::cost_micros(1))
        .await
        .unwrap()
        .admitted()
        .unwrap()
        .reservation
        .detach();
    assert_eq!(
        limiter.acquire(&ada(), Demand::cost_micros(1)).await.unwrap_err(),
        Error::TooManyReservations
    );
    assert!(passes(&limiter, &ada(), 1).await, "requests continue");
    assert_eq!(used(&limiter, &ada(), "global-cost-utc-day").await, (2, 2));
    limiter.settle(&first, 1).await.unwrap();
    assert!(spends(&limiter, &ada(), 1).await);
    assert_eq!(limiter.settle(&first, 1).await.unwrap().outcome, Outcome::Unknown, "forgotten to make room");
    tokio::time::advance(secs(900)).await;
    assert!(spends(&limiter, &ada(), 1).await, "the unsettled reservation expired");
}

#[test]
fn invalid_settings_are_rejected_by_name() {
    let message = |error: ConfigError| error.to_string();
    let builder = Limiter::builder;
    assert_eq!(message(builder().max_subjects(0).build().unwrap_err()), "max_subjects is not from 1 to 2^31");
    assert_eq!(message(builder().max_reservations(0).build().unwrap_err()), "max_reservations is zero");
    assert_eq!(
        message(builder().reservation_ttl(Duration::ZERO).build().unwrap_err()),
        "reservation_ttl is not from 1 ms to 30 days"
    );
    let zero = Limit::requests(Scope::User, 5, Window::Sliding(Duration::ZERO));
    assert_eq!(message(builder().limit(zero).build().unwrap_err()), "limit user-requests-0s: window is zero");
}

#[test]
fn statistics_serialize() {
    let limiter = embedded([]);
    let value = serde_json::to_value(limiter.statistics()).unwrap();
    assert_eq!(value["mode"], "exact");
    assert_eq!(value["admitted"], 0);
}

#[tokio::test]
async fn a_new_process_gets_the_spent_dollars_from_the_ledger() {
    stay_within_one_day();
    let book = Arc::new(Book::default());
    let build = || {
        Limiter::builder()
            .limit(Limit::cost(Scope::User, 1000, sliding(3600)))
            .limit(Limit::requests(Scope::User, 9, sliding(3600)))
            .limit(Limit::cost(Scope::Global, 5000, Window::UtcDay))
            .max_subjects(4)
            .ledger(Arc::<Book>::clone(&book))
            .build()
            .unwrap()
    };
    let limiter = build();
    assert!(spends(&limiter, &ada(), 700).await);
    assert_eq!(book.asked.load(Ordering::Relaxed), 2);
    book.spent.store(700, Ordering::Relaxed);
    assert!(spends(&limiter, &ada(), 1).await);
    assert_eq!(book.asked.load(Ordering::Relaxed), 2, "once for each scope");

    let limiter = build();
    book.closed.store(true, Ordering::Relaxed);
    assert!(passes(&limiter, &ada(), 1).await, "requests continue");
    assert_eq!(limiter.acquire(&ada(), Demand::cost_micros(1)).await.unwrap_err(), Error::Rebuilding);
    book.closed.store(false, Ordering::Relaxed);
    assert!(!spends(&limiter, &ada(), 301).await);
    assert!(spends(&limiter, &ada(), 300).await);

    // The subject is evicted at the bound and returns.
    book.spent.store(1000, Ordering::Relaxed);
    for user in 0..100 {
        let _ = limiter
            .acquire(&Subjects::default().user(user.to_string()), Demand::cost_micros(1))
            .await
            .unwrap();
    }
    assert!(!spends(&limiter, &ada(), 1).await);
}
