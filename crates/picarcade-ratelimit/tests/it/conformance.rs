//! What every store promises, as plain functions, and the one list of them that no store can leave a name out of.

use picarcade_ratelimit::{Error, Limit, MAX_AMOUNT, Outcome, Scope, Subjects, Window};
use picarcade_testkit::eventually;

use crate::setup::{Setup, TTL, ada, contract, denied, passes, secs, sliding, spends, used};

/// One test for each promise, in the module where it is called; `$setup` makes a [`Setup`] future.
macro_rules! conformance {
    ($setup:expr) => {
        conformance!(@each $setup;
            exactly_the_limit_passes, a_denial_consumes_nothing_anywhere, every_violated_limit_is_told,
            a_refusal_says_when, windows_slide, two_windows_on_one_scope, the_day_is_utc, the_contract_together,
            smoothing_spreads, absent_subjects_do_not_count, subjects_do_not_mix,
            a_subject_whose_text_extends_another_is_counted_apart, usage_consumes_nothing,
            more_than_the_limit_is_impossible, settled_below_is_refunded, settled_above_is_charged,
            settled_twice_counts_once, settled_after_expiry_only_adds, unsettled_is_charged, released_is_given_back,
            dropped_before_dispatch_is_released, dropped_after_dispatch_is_charged, detached_settles_elsewhere,
            a_refund_never_reaches_a_newer_window, an_overage_of_an_old_window_counts_now, unknown_ids_say_so,
            a_repeated_call_charges_once, time_stepping_back_admits_no_more, bad_input_is_named,
            great_amounts_stay_exact, a_thousand_at_once, mixed_prices_at_once
        );
    };
    (@each $setup:expr; $($name:ident),*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                crate::conformance::$name(&$setup.await).await;
            }
        )*
    };
}
pub(crate) use conformance;

fn per_minute(limit: u64) -> Limit {
    Limit::requests(Scope::User, limit, sliding(60))
}

fn dollars_an_hour(micros: u64) -> Limit {
    Limit::cost(Scope::User, micros, sliding(3600))
}

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
    assert!(spends(&limiter, &subjects, 100).await, "the dollars are still whole");
}

pub async fn every_violated_limit_is_told(setup: &Setup) {
    let limiter =
        setup.limiter([per_minute(1), dollars_an_hour(10), Limit::cost(Scope::Global, 1000, Window::UtcDay)]);
    assert!(passes(&limiter, &ada(), 1).await);
    let denial = denied(&limiter, &ada(), 1, 11).await;
    let names: Vec<_> = denial.violated.iter().map(|status| status.name.to_string()).collect();
    assert_eq!(names, ["user-requests-60s", "user-cost-3600s"]);
    assert_eq!(denial.report.statuses.len(), 3);
    assert!(!denial.possible);
}

pub async fn a_refusal_says_when(setup: &Setup) {
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
    assert!(longer.retry_after > secs(500), "the later of the two");
    setup.pass(longer.retry_after);
    assert!(passes(&limiter, &ada(), 1).await);
}

pub async fn windows_slide(setup: &Setup) {
    let limiter = setup.limiter([per_minute(10)]);
    setup.pass(secs(59));
    assert!(passes(&limiter, &ada(), 10).await);
    setup.pass(secs(2));
    assert!(!passes(&limiter, &ada(), 1).await, "a fixed window would have begun anew");
    setup.pass(secs(57));
    assert!(!passes(&limiter, &ada(), 1).await);
    setup.pass(secs(2));
    assert!(passes(&limiter, &ada(), 10).await);
}

pub async fn two_windows_on_one_scope(setup: &Setup) {
    let limiter = setup.limiter([per_minute(2), Limit::requests(Scope::User, 3, sliding(3600))]);
    assert!(passes(&limiter, &ada(), 2).await);
    assert!(!passes(&limiter, &ada(), 1).await);
    setup.pass(secs(61));
    assert!(passes(&limiter, &ada(), 1).await);
    let denial = denied(&limiter, &ada(), 1, 0).await;
    assert_eq!(denial.violated.len(), 1);
    assert_eq!(denial.violated[0].name, "user-requests-3600s");
}

pub async fn the_day_is_utc(setup: &Setup) {
    let limiter = setup.limiter([Limit::cost(Scope::Global, 500, Window::UtcDay)]);
    setup.set(secs(1_700_006_399));
    assert!(spends(&limiter, &ada(), 500).await);
    let denial = denied(&limiter, &ada(), 0, 1).await;
    assert_eq!(denial.retry_after, secs(1), "midnight is a second away");
    setup.pass(secs(1));
    assert!(spends(&limiter, &ada(), 500).await);
    assert_eq!(denied(&limiter, &ada(), 0, 1).await.retry_after, secs(86_400));
}

pub async fn the_contract_together(setup: &Setup) {
    let limiter = setup.limiter(contract());
    let mut admitted = 0;
    for _ in 0..120 {
        admitted += u64::from(limiter.acquire(&ada(), 1, 400_000).await.unwrap().admitted().is_some_and(
            |mut admission| {
                admission.reservation.dispatched();
                true
            },
        ));
    }
    assert_eq!(admitted, 100, "by requests a minute, before the dollars are spent");
    setup.pass(secs(61));
    let mut more = 0;
    for _ in 0..100 {
        if let Some(mut admission) = limiter.acquire(&ada(), 1, 400_000).await.unwrap().admitted() {
            admission.reservation.dispatched();
            more += 1;
        }
    }
    assert_eq!(more, 25, "by $50 an hour");
    assert!(passes(&limiter, &ada(), 1).await, "requests without dollars go on");
    assert_eq!(used(&limiter, &ada(), "global-cost-utc-day").await, (50_000_000, 50_000_000));
    assert_eq!(used(&limiter, &ada(), "global-requests-3600s").await, (126, 0));
    assert_eq!(used(&limiter, &ada(), "user-requests-60s").await, (26, 0));
}

pub async fn smoothing_spreads(setup: &Setup) {
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

pub async fn absent_subjects_do_not_count(setup: &Setup) {
    let limiter = setup.limiter([per_minute(1), Limit::requests(Scope::ApiKey, 1, sliding(60))]);
    let nobody = Subjects::default();
    for _ in 0..3 {
        assert!(passes(&limiter, &nobody, 1).await);
    }
    assert!(limiter.usage(&nobody).await.unwrap().statuses.is_empty());
    assert!(passes(&limiter, &ada(), 1).await);
    assert!(passes(&limiter, &Subjects::default().api_key("k"), 1).await);
}

pub async fn subjects_do_not_mix(setup: &Setup) {
    let limiter = setup.limiter([per_minute(1), Limit::requests(Scope::ApiKey, 1, sliding(60))]);
    for name in ["a", "b", "a:b", "{a}", "ä ö\n\u{0}", "*"] {
        assert!(passes(&limiter, &Subjects::default().user(name), 1).await, "{name}");
        assert!(passes(&limiter, &Subjects::default().api_key(name), 1).await, "{name} as a key");
        assert!(!passes(&limiter, &Subjects::default().user(name), 1).await, "{name} again");
    }
}

pub async fn a_subject_whose_text_extends_another_is_counted_apart(setup: &Setup) {
    let limiter = setup.limiter([
        dollars_an_hour(1000),
        Limit::requests(Scope::User, 9, sliding(60)),
        Limit::cost(Scope::ApiKey, 1000, sliding(3600)),
    ]);
    let names = ["ann", "ann:p", "ann:s", "ann:p:p", ":p", "ann}:p", "{ann}", "ann:"];
    // Two charges in different buckets give each subject past buckets, which are kept beside its
    // state.
    for _ in 0..2 {
        for name in names {
            let subjects = Subjects::default().user(name).api_key(name);
            assert!(limiter.acquire(&subjects, 2, 0).await.unwrap().is_admitted(), "{name}");
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

pub async fn more_than_the_limit_is_impossible(setup: &Setup) {
    let limiter = setup.limiter([per_minute(5)]);
    let denial = denied(&limiter, &ada(), 6, 0).await;
    assert!(!denial.possible);
    assert_eq!(denial.retry_after, secs(60));
    assert!(passes(&limiter, &ada(), 5).await);
    assert!(denied(&limiter, &ada(), 5, 0).await.possible);
}

pub async fn settled_below_is_refunded(setup: &Setup) {
    let limiter = setup.limiter([dollars_an_hour(100), Limit::cost(Scope::Global, 1000, Window::UtcDay)]);
    let admission = limiter.acquire(&ada(), 0, 80).await.unwrap().admitted().unwrap();
    assert_eq!(admission.report.statuses[0].reserved, 80);
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (80, 80));
    assert!(!spends(&limiter, &ada(), 21).await, "what is reserved is not free");
    let settled = admission.reservation.settle(30).await.unwrap();
    assert_eq!(
        (settled.outcome, settled.estimate_micros, settled.charged_micros),
        (Outcome::Settled, 80, 30)
    );
    assert!(!settled.repeated);
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (30, 0));
    assert_eq!(used(&limiter, &ada(), "global-cost-utc-day").await, (30, 0));
    assert!(spends(&limiter, &ada(), 70).await);
}

pub async fn settled_above_is_charged(setup: &Setup) {
    let limiter = setup.limiter([dollars_an_hour(100), Limit::cost(Scope::Global, 1000, Window::UtcDay)]);
    let admission = limiter.acquire(&ada(), 0, 80).await.unwrap().admitted().unwrap();
    let settled = admission.reservation.settle(250).await.unwrap();
    assert_eq!((settled.outcome, settled.charged_micros), (Outcome::Settled, 250));
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (250, 0), "past the limit");
    assert_eq!(used(&limiter, &ada(), "global-cost-utc-day").await, (250, 0));
    let denial = denied(&limiter, &ada(), 0, 1).await;
    assert_eq!(denial.violated[0].remaining, 0);
    setup.pass(denial.retry_after);
    assert!(spends(&limiter, &ada(), 1).await);
}

pub async fn settled_twice_counts_once(setup: &Setup) {
    let limiter = setup.limiter([dollars_an_hour(100)]);
    let id = limiter.acquire(&ada(), 0, 80).await.unwrap().admitted().unwrap().reservation.detach();
    let first = limiter.settle(&id, 30).await.unwrap();
    for again in [limiter.settle(&id, 99).await.unwrap(), limiter.release(&id).await.unwrap()] {
        assert!(again.repeated);
        assert_eq!((again.outcome, again.charged_micros), (first.outcome, first.charged_micros));
    }
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (30, 0));
}

pub async fn settled_after_expiry_only_adds(setup: &Setup) {
    let limiter = setup.limiter([dollars_an_hour(100)]);
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.push(limiter.acquire(&ada(), 0, 20).await.unwrap().admitted().unwrap().reservation.detach());
    }
    setup.pass(TTL);
    let late = limiter.settle(&ids[0], 5).await.unwrap();
    assert_eq!((late.outcome, late.charged_micros), (Outcome::Expired, 20));
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (40, 0));
    let late = limiter.settle(&ids[1], 50).await.unwrap();
    assert_eq!((late.outcome, late.charged_micros), (Outcome::Expired, 50));
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (70, 0));
    assert!(limiter.settle(&ids[1], 50).await.unwrap().repeated);
    setup.pass(TTL);
    setup.pass(TTL);
    assert_eq!(limiter.settle(&ids[1], 50).await.unwrap().outcome, Outcome::Unknown);
}

pub async fn unsettled_is_charged(setup: &Setup) {
    let limiter = setup.limiter([dollars_an_hour(100)]);
    let _id = limiter.acquire(&ada(), 0, 60).await.unwrap().admitted().unwrap().reservation.detach();
    setup.pass(TTL.checked_sub(secs(1)).unwrap());
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (60, 60));
    setup.pass(secs(1));
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (60, 0), "charged, and no longer reserved");
    assert!(!spends(&limiter, &ada(), 41).await);
}

pub async fn released_is_given_back(setup: &Setup) {
    let limiter = setup.limiter([dollars_an_hour(100)]);
    let admission = limiter.acquire(&ada(), 0, 100).await.unwrap().admitted().unwrap();
    let id = admission.reservation.id().to_owned();
    let released = admission.reservation.release().await.unwrap();
    assert_eq!((released.outcome, released.charged_micros), (Outcome::Released, 0));
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (0, 0));
    assert!(limiter.settle(&id, 50).await.unwrap().repeated, "what was released is not charged later");
    assert!(spends(&limiter, &ada(), 100).await);
}

pub async fn dropped_before_dispatch_is_released(setup: &Setup) {
    let limiter = setup.limiter([dollars_an_hour(100)]);
    drop(limiter.acquire(&ada(), 0, 100).await.unwrap());
    // The release reaches an external store in the background.
    let released = async || used(&limiter, &ada(), "user-cost-3600s").await == (0, 0);
    eventually("the reservation is released", released).await;
}

pub async fn dropped_after_dispatch_is_charged(setup: &Setup) {
    let limiter = setup.limiter([dollars_an_hour(100)]);
    let mut admission = limiter.acquire(&ada(), 0, 100).await.unwrap().admitted().unwrap();
    admission.reservation.dispatched();
    drop(admission);
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (100, 100));
    setup.pass(TTL);
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (100, 0));
}

pub async fn detached_settles_elsewhere(setup: &Setup) {
    let (here, there) = (setup.limiter([dollars_an_hour(100)]), setup.limiter([dollars_an_hour(100)]));
    let id = here.acquire(&ada(), 0, 90).await.unwrap().admitted().unwrap().reservation.detach();
    setup.pass(secs(300));
    assert_eq!(there.settle(&id, 40).await.unwrap().outcome, Outcome::Settled);
    assert_eq!(used(&here, &ada(), "user-cost-3600s").await, (40, 0));
}

pub async fn a_refund_never_reaches_a_newer_window(setup: &Setup) {
    let day = Limit::cost(Scope::Global, 100, Window::UtcDay);
    let limiter = setup.limiter([day, Limit::cost(Scope::User, 1000, sliding(60))]);
    setup.set(secs(1_700_006_399));
    let id = limiter.acquire(&ada(), 0, 80).await.unwrap().admitted().unwrap().reservation.detach();
    setup.pass(secs(90));
    assert!(spends(&limiter, &ada(), 70).await);
    assert_eq!(limiter.settle(&id, 10).await.unwrap().charged_micros, 10);
    assert_eq!(
        used(&limiter, &ada(), "global-cost-utc-day").await,
        (70, 0),
        "yesterday's refund is yesterday's"
    );
    assert_eq!(used(&limiter, &ada(), "user-cost-60s").await, (70, 0));
}

pub async fn an_overage_of_an_old_window_counts_now(setup: &Setup) {
    let limiter = setup.limiter([Limit::cost(Scope::User, 100, sliding(60))]);
    let id = limiter.acquire(&ada(), 0, 80).await.unwrap().admitted().unwrap().reservation.detach();
    setup.pass(secs(120));
    assert_eq!(used(&limiter, &ada(), "user-cost-60s").await, (0, 0));
    limiter.settle(&id, 95).await.unwrap();
    assert_eq!(used(&limiter, &ada(), "user-cost-60s").await, (15, 0), "found to be spent now, and not lost");
}

pub async fn unknown_ids_say_so(setup: &Setup) {
    let limiter = setup.limiter([dollars_an_hour(100)]);
    for id in ["", "nonsense", "0192f0c1-2345-7678-9abc-def012345678", "{x}:*"] {
        assert_eq!(limiter.settle(id, 5).await.unwrap().outcome, Outcome::Unknown);
        assert_eq!(limiter.release(id).await.unwrap().outcome, Outcome::Unknown);
    }
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (0, 0));
    let free = limiter.acquire(&ada(), 1, 0).await.unwrap().admitted().unwrap();
    assert!(free.reservation.is_empty());
    assert_eq!(free.reservation.settle(5).await.unwrap().outcome, Outcome::Unknown);
}

pub async fn a_repeated_call_charges_once(setup: &Setup) {
    use picarcade_ratelimit::{Ask, Plan, ReservationId, Verdict};
    let plan = Plan::new(vec![dollars_an_hour(100), per_minute(10)]).unwrap();
    let (subjects, id) = (ada(), ReservationId::random());
    let ask = Ask::new(&plan, &subjects).requests(1).reserve(id, 60, TTL);
    for _ in 0..3 {
        let Verdict::Admitted(report) = setup.store.acquire(ask).await.unwrap() else { panic!("denied") };
        assert_eq!(report.statuses[0].used, 60);
        assert_eq!(report.statuses[1].used, 1);
    }
    let settled = setup.store.settle(id, 60).await.unwrap();
    assert_eq!(settled.outcome, Outcome::Settled);
}

pub async fn time_stepping_back_admits_no_more(setup: &Setup) {
    let limiter = setup.limiter([per_minute(5), Limit::requests(Scope::Global, 5, Window::UtcDay)]);
    let start = setup.now();
    assert!(passes(&limiter, &ada(), 3).await);
    setup.set(start.checked_sub(secs(86_400)).unwrap());
    assert!(passes(&limiter, &ada(), 2).await);
    assert!(!passes(&limiter, &ada(), 1).await);
    setup.set(start);
    assert!(!passes(&limiter, &ada(), 1).await);
}

pub async fn bad_input_is_named(setup: &Setup) {
    let limiter = setup.limiter([per_minute(5), dollars_an_hour(100)]);
    let too_much = MAX_AMOUNT + 1;
    for (subjects, requests, micros, field) in [
        (Subjects::default().user(""), 1, 0, "user"),
        (ada().endpoint(""), 1, 0, "endpoint"),
        (ada(), too_much, 0, "requests"),
        (ada(), 0, too_much, "cost_micros"),
    ] {
        match limiter.acquire(&subjects, requests, micros).await {
            Err(Error::Invalid { field: named, .. }) => assert_eq!(named, field),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(
        limiter.usage(&Subjects::default().user("")).await,
        Err(Error::Invalid { field: "user", .. })
    ));
    let id = limiter.acquire(&ada(), 0, 10).await.unwrap().admitted().unwrap().reservation.detach();
    assert!(limiter.settle(&id, too_much).await.is_err());
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (10, 10));
}

pub async fn great_amounts_stay_exact(setup: &Setup) {
    let limiter = setup.limiter([dollars_an_hour(MAX_AMOUNT)]);
    let most = MAX_AMOUNT - 3;
    assert!(spends(&limiter, &ada(), most).await);
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (most, 0));
    assert!(!spends(&limiter, &ada(), 4).await);
    assert!(spends(&limiter, &ada(), 3).await);
    assert!(!spends(&limiter, &ada(), 1).await);
    assert!(!spends(&limiter, &ada(), MAX_AMOUNT).await);
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (MAX_AMOUNT, 0));
}

pub async fn a_thousand_at_once(setup: &Setup) {
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
        "the denied consumed nothing"
    );
}

pub async fn mixed_prices_at_once(setup: &Setup) {
    let limiter = setup.limiter([dollars_an_hour(10_000)]);
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..1000_u64 {
        let limiter = limiter.clone();
        tasks.spawn(async move {
            let price = 1 + index * 37 % 113;
            match limiter.acquire(&ada(), 0, price).await.unwrap().admitted() {
                Some(admission) => {
                    assert!(admission.report.statuses[0].used <= 10_000);
                    let _ = admission.reservation.detach();
                    price
                }
                None => 0,
            }
        });
    }
    let spent: u64 = tasks.join_all().await.into_iter().sum();
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (spent, spent));
    assert!(spent <= 10_000 && spent > 10_000 - 113, "{spent}");
}
