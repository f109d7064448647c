//! Decisions: admissions, denials, windows and subjects.

use picarcade_ratelimit::{Demand, Error, Limit, MAX_AMOUNT, Scope, Subjects, Window};

use super::{dollars_an_hour, per_minute};
use crate::setup::{Setup, ada, contract, denied, passes, secs, sliding, spends, used};

pub async fn exactly_the_limit_passes(setup: &Setup) {
    let limiter = setup.limiter([per_minute(5)]);
    for _ in 0..5 {
        assert!(passes(&limiter, &ada(), 1).await);
    }
    assert!(!passes(&limiter, &ada(), 1).await);
    assert_eq!(limiter.statistics().admitted, 5);
    assert_eq!(limiter.statistics().denied, 1);
}

pub async fn a_denial_consumes_nothing_anywhere(setup: &Setup) {
    let limiter = setup.limiter([
        per_minute(10),
        Limit::requests(Scope::Endpoint, 10, sliding(60)),
        dollars_an_hour(100),
        Limit::requests(Scope::Global, 3, sliding(60)),
    ]);
    let subjects = ada().endpoint("process");
    assert!(passes(&limiter, &subjects, 3).await);
    let before = limiter.usage(&subjects).await.unwrap();
    for _ in 0..20 {
        assert!(!passes(&limiter, &subjects, 1).await);
        let _ = denied(&limiter, &subjects, 1, 50).await;
    }
    assert_eq!(limiter.usage(&subjects).await.unwrap(), before);
    assert!(spends(&limiter, &subjects, 100).await, "no dollars were charged");
}

pub async fn a_denial_lists_every_violated_limit(setup: &Setup) {
    let limiter =
        setup.limiter([per_minute(1), dollars_an_hour(10), Limit::cost(Scope::Global, 1000, Window::UtcDay)]);
    assert!(passes(&limiter, &ada(), 1).await);
    let denial = denied(&limiter, &ada(), 1, 11).await;
    let names: Vec<_> = denial.violated.iter().map(|status| status.name.to_string()).collect();
    assert_eq!(names, ["user-requests-60s", "user-cost-3600s"]);
    assert_eq!(denial.report.statuses.len(), 3);
    assert!(!denial.possible);
}

pub async fn a_denial_returns_when_to_retry(setup: &Setup) {
    let limiter = setup.limiter([per_minute(4), Limit::requests(Scope::User, 6, sliding(600))]);
    for pause in [0, 7, 7, 7] {
        setup.pass(secs(pause));
        assert!(passes(&limiter, &ada(), 1).await);
    }
    let first = denied(&limiter, &ada(), 2, 0).await.retry_after;
    assert!(first > secs(30) && first <= secs(61), "{first:?}");
    setup.pass(first.checked_sub(std::time::Duration::from_micros(1)).unwrap());
    assert!(!passes(&limiter, &ada(), 2).await);
    setup.pass(std::time::Duration::from_micros(1));
    assert!(passes(&limiter, &ada(), 2).await);
    let longer = denied(&limiter, &ada(), 1, 0).await;
    assert_eq!(longer.violated.len(), 2);
    assert!(longer.retry_after > secs(500), "the longer of the two waits");
    setup.pass(longer.retry_after);
    assert!(passes(&limiter, &ada(), 1).await);
}

pub async fn a_sliding_window_has_no_fixed_start(setup: &Setup) {
    let limiter = setup.limiter([per_minute(10)]);
    setup.pass(secs(59));
    assert!(passes(&limiter, &ada(), 10).await);
    setup.pass(secs(2));
    assert!(!passes(&limiter, &ada(), 1).await, "a fixed window would have started again");
    setup.pass(secs(57));
    assert!(!passes(&limiter, &ada(), 1).await);
    setup.pass(secs(2));
    assert!(passes(&limiter, &ada(), 10).await);
}

pub async fn two_windows_of_one_scope_both_apply(setup: &Setup) {
    let limiter = setup.limiter([per_minute(2), Limit::requests(Scope::User, 3, sliding(3600))]);
    assert!(passes(&limiter, &ada(), 2).await);
    assert!(!passes(&limiter, &ada(), 1).await);
    setup.pass(secs(61));
    assert!(passes(&limiter, &ada(), 1).await);
    let denial = denied(&limiter, &ada(), 1, 0).await;
    assert_eq!(denial.violated.len(), 1);
    assert_eq!(denial.violated[0].name, "user-requests-3600s");
}

pub async fn a_day_starts_at_midnight_in_utc(setup: &Setup) {
    let limiter = setup.limiter([Limit::cost(Scope::Global, 500, Window::UtcDay)]);
    setup.set(secs(1_700_006_399));
    assert!(spends(&limiter, &ada(), 500).await);
    let denial = denied(&limiter, &ada(), 0, 1).await;
    assert_eq!(denial.retry_after, secs(1), "midnight is a second away");
    setup.pass(secs(1));
    assert!(spends(&limiter, &ada(), 500).await);
    assert_eq!(denied(&limiter, &ada(), 0, 1).await.retry_after, secs(86_400));
}

pub async fn the_limits_of_the_contract_apply_together(setup: &Setup) {
    let limiter = setup.limiter(contract());
    let mut admitted = 0;
    for _ in 0..120 {
        admitted += u64::from(
            limiter
                .acquire(&ada(), Demand { requests: 1, cost_micros: 400_000 })
                .await
                .unwrap()
                .admitted()
                .is_some_and(|mut admission| {
                    admission.reservation.dispatched();
                    true
                }),
        );
    }
    assert_eq!(admitted, 100, "limited by requests, before the dollars are spent");
    setup.pass(secs(61));
    let mut more = 0;
    for _ in 0..100 {
        if let Some(mut admission) =
            limiter.acquire(&ada(), Demand { requests: 1, cost_micros: 400_000 }).await.unwrap().admitted()
        {
            admission.reservation.dispatched();
            more += 1;
        }
    }
    assert_eq!(more, 25, "limited by $50 an hour");
    assert!(passes(&limiter, &ada(), 1).await, "requests without dollars continue");
    assert_eq!(used(&limiter, &ada(), "global-cost-utc-day").await, (50_000_000, 50_000_000));
    assert_eq!(used(&limiter, &ada(), "global-requests-3600s").await, (126, 0));
    assert_eq!(used(&limiter, &ada(), "user-requests-60s").await, (26, 0));
}

pub async fn a_smooth_window_spreads_requests(setup: &Setup) {
    let limit = Limit::requests(Scope::User, 60, Window::Smooth { period: secs(60), burst: 10 });
    let limiter = setup.limiter([limit]);
    assert!(passes(&limiter, &ada(), 10).await);
    let mut admitted = 10;
    for _ in 0..59 {
        setup.pass(secs(1));
        while passes(&limiter, &ada(), 1).await {
            admitted += 1;
        }
    }
    assert!((55..=60).contains(&admitted), "{admitted} in the first minute");
    let wait = denied(&limiter, &ada(), 1, 0).await.retry_after;
    setup.pass(wait);
    assert!(passes(&limiter, &ada(), 1).await);
}

pub async fn limits_of_absent_subjects_do_not_apply(setup: &Setup) {
    let limiter = setup.limiter([per_minute(1), Limit::requests(Scope::ApiKey, 1, sliding(60))]);
    let none = Subjects::default();
    for _ in 0..3 {
        assert!(passes(&limiter, &none, 1).await);
    }
    assert!(limiter.usage(&none).await.unwrap().statuses.is_empty());
    assert!(passes(&limiter, &ada(), 1).await);
    assert!(passes(&limiter, &Subjects::default().api_key("k"), 1).await);
}

pub async fn subjects_are_counted_separately(setup: &Setup) {
    let limiter = setup.limiter([per_minute(1), Limit::requests(Scope::ApiKey, 1, sliding(60))]);
    for name in ["a", "b", "a:b", "{a}", "ä ö\n\u{0}", "*"] {
        assert!(passes(&limiter, &Subjects::default().user(name), 1).await, "{name}");
        assert!(passes(&limiter, &Subjects::default().api_key(name), 1).await, "{name} as a key");
        assert!(!passes(&limiter, &Subjects::default().user(name), 1).await, "{name} again");
    }
}

pub async fn a_subject_whose_text_extends_another_is_counted_separately(setup: &Setup) {
    let limiter = setup.limiter([
        dollars_an_hour(1000),
        Limit::requests(Scope::User, 9, sliding(60)),
        Limit::cost(Scope::ApiKey, 1000, sliding(3600)),
    ]);
    let names = ["ann", "ann:p", "ann:s", "ann:p:p", ":p", "ann}:p", "{ann}", "ann:"];
    // Two charges in different buckets give each subject past buckets, which have their own key.
    for _ in 0..2 {
        for name in names {
            let subjects = Subjects::default().user(name).api_key(name);
            assert!(limiter.acquire(&subjects, Demand::requests(2)).await.unwrap().is_admitted(), "{name}");
            assert!(spends(&limiter, &subjects, 450).await, "{name}");
        }
        setup.pass(secs(61));
    }
    for name in names {
        let subjects = Subjects::default().user(name).api_key(name);
        assert!(!spends(&limiter, &subjects, 101).await, "{name}");
        assert_eq!(used(&limiter, &subjects, "user-cost-3600s").await, (900, 0), "{name}");
        assert_eq!(used(&limiter, &subjects, "key-cost-3600s").await, (900, 0), "{name}");
    }
}

pub async fn usage_consumes_nothing(setup: &Setup) {
    let limiter = setup.limiter(contract());
    let fresh = limiter.usage(&ada()).await.unwrap();
    assert_eq!(fresh.statuses.len(), 5);
    assert!(fresh.statuses.iter().all(|status| status.used == 0 && status.remaining == status.limit));
    assert!(fresh.statuses.iter().all(|status| status.reset_after.is_zero()));
    assert!(passes(&limiter, &ada(), 3).await);
    for _ in 0..3 {
        assert_eq!(used(&limiter, &ada(), "user-requests-60s").await, (3, 0));
    }
    let report = limiter.usage(&ada()).await.unwrap();
    let status = report.statuses[0];
    assert_eq!((status.remaining, status.limit), (97, 100));
    assert!(status.reset_after > secs(59) && status.reset_after <= secs(61), "{:?}", status.reset_after);
}

pub async fn a_request_larger_than_the_limit_is_impossible(setup: &Setup) {
    let limiter = setup.limiter([per_minute(5)]);
    let denial = denied(&limiter, &ada(), 6, 0).await;
    assert!(!denial.possible);
    assert_eq!(denial.retry_after, secs(60));
    assert!(passes(&limiter, &ada(), 5).await);
    assert!(denied(&limiter, &ada(), 5, 0).await.possible);
}

pub async fn time_that_steps_back_admits_no_more(setup: &Setup) {
    let limiter = setup.limiter([per_minute(5), Limit::requests(Scope::Global, 5, Window::UtcDay)]);
    let start = setup.now();
    assert!(passes(&limiter, &ada(), 3).await);
    setup.set(start.checked_sub(secs(86_400)).unwrap());
    assert!(passes(&limiter, &ada(), 2).await);
    assert!(!passes(&limiter, &ada(), 1).await);
    setup.set(start);
    assert!(!passes(&limiter, &ada(), 1).await);
}

pub async fn invalid_arguments_are_rejected_by_name(setup: &Setup) {
    let limiter = setup.limiter([per_minute(5), dollars_an_hour(100)]);
    let too_much = MAX_AMOUNT + 1;
    for (subjects, requests, micros, field) in [
        (Subjects::default().user(""), 1, 0, "user"),
        (ada().endpoint(""), 1, 0, "endpoint"),
        (ada(), too_much, 0, "requests"),
        (ada(), 0, too_much, "cost_micros"),
    ] {
        match limiter.acquire(&subjects, Demand { requests, cost_micros: micros }).await {
            Err(Error::Invalid { field: named, .. }) => assert_eq!(named, field),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(
        limiter.usage(&Subjects::default().user("")).await,
        Err(Error::Invalid { field: "user", .. })
    ));
    let id = limiter
        .acquire(&ada(), Demand::cost_micros(10))
        .await
        .unwrap()
        .admitted()
        .unwrap()
        .reservation
        .detach();
    assert!(limiter.settle(&id, too_much).await.is_err());
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (10, 10));
}

pub async fn large_amounts_are_exact(setup: &Setup) {
    let limiter = setup.limiter([dollars_an_hour(MAX_AMOUNT)]);
    let amount = MAX_AMOUNT - 3;
    assert!(spends(&limiter, &ada(), amount).await);
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (amount, 0));
    assert!(!spends(&limiter, &ada(), 4).await);
    assert!(spends(&limiter, &ada(), 3).await);
    assert!(!spends(&limiter, &ada(), 1).await);
    assert!(!spends(&limiter, &ada(), MAX_AMOUNT).await);
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (MAX_AMOUNT, 0));
}

pub async fn a_thousand_concurrent_requests_admit_exactly_the_limit(setup: &Setup) {
    let limiters =
        [0; 4].map(|_| setup.limiter([per_minute(100), Limit::requests(Scope::Global, 1000, sliding(60))]));
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..1000 {
        let limiter = limiters[index % 4].clone();
        tasks.spawn(async move { passes(&limiter, &ada(), 1).await });
    }
    let admitted = tasks.join_all().await.into_iter().filter(|passed| *passed).count();
    assert_eq!(admitted, 100);
    assert_eq!(
        used(&limiters[0], &ada(), "global-requests-60s").await,
        (100, 0),
        "denied requests consume nothing"
    );
}
