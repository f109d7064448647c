//! Reservations: settlement, release, expiry and refunds.

use picarcade_ratelimit::{Ask, Demand, Limit, Outcome, Plan, ReservationId, Scope, StoreDecision, Window};
use picarcade_testkit::eventually;

use super::{dollars_an_hour, per_minute};
use crate::setup::{Setup, TTL, ada, denied, secs, sliding, spends, used};

pub async fn a_settlement_below_the_estimate_refunds_the_rest(setup: &Setup) {
    let limiter = setup.limiter([dollars_an_hour(100), Limit::cost(Scope::Global, 1000, Window::UtcDay)]);
    let admission = limiter.acquire(&ada(), Demand::cost_micros(80)).await.unwrap().admitted().unwrap();
    assert_eq!(admission.report.statuses[0].reserved, 80);
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (80, 80));
    assert!(!spends(&limiter, &ada(), 21).await, "reserved dollars are not available");
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

pub async fn a_settlement_above_the_estimate_charges_the_difference(setup: &Setup) {
    let limiter = setup.limiter([dollars_an_hour(100), Limit::cost(Scope::Global, 1000, Window::UtcDay)]);
    let admission = limiter.acquire(&ada(), Demand::cost_micros(80)).await.unwrap().admitted().unwrap();
    let settled = admission.reservation.settle(250).await.unwrap();
    assert_eq!((settled.outcome, settled.charged_micros), (Outcome::Settled, 250));
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (250, 0), "above the limit");
    assert_eq!(used(&limiter, &ada(), "global-cost-utc-day").await, (250, 0));
    let denial = denied(&limiter, &ada(), 0, 1).await;
    assert_eq!(denial.violated[0].remaining, 0);
    setup.pass(denial.retry_after);
    assert!(spends(&limiter, &ada(), 1).await);
}

pub async fn a_repeated_settlement_counts_once(setup: &Setup) {
    let limiter = setup.limiter([dollars_an_hour(100)]);
    let id = limiter
        .acquire(&ada(), Demand::cost_micros(80))
        .await
        .unwrap()
        .admitted()
        .unwrap()
        .reservation
        .detach();
    let first = limiter.settle(&id, 30).await.unwrap();
    for again in [limiter.settle(&id, 99).await.unwrap(), limiter.release(&id).await.unwrap()] {
        assert!(again.repeated);
        assert_eq!((again.outcome, again.charged_micros), (first.outcome, first.charged_micros));
    }
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (30, 0));
}

pub async fn a_settlement_after_the_deadline_only_adds_cost(setup: &Setup) {
    let limiter = setup.limiter([dollars_an_hour(100)]);
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.push(
            limiter
                .acquire(&ada(), Demand::cost_micros(20))
                .await
                .unwrap()
                .admitted()
                .unwrap()
                .reservation
                .detach(),
        );
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

pub async fn an_unsettled_reservation_is_charged(setup: &Setup) {
    let limiter = setup.limiter([dollars_an_hour(100)]);
    let _id = limiter
        .acquire(&ada(), Demand::cost_micros(60))
        .await
        .unwrap()
        .admitted()
        .unwrap()
        .reservation
        .detach();
    setup.pass(TTL.checked_sub(secs(1)).unwrap());
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (60, 60));
    setup.pass(secs(1));
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (60, 0), "charged, and no longer reserved");
    assert!(!spends(&limiter, &ada(), 41).await);
}

pub async fn a_release_gives_the_estimate_back(setup: &Setup) {
    let limiter = setup.limiter([dollars_an_hour(100)]);
    let admission = limiter.acquire(&ada(), Demand::cost_micros(100)).await.unwrap().admitted().unwrap();
    let id = admission.reservation.id().to_owned();
    let released = admission.reservation.release().await.unwrap();
    assert_eq!((released.outcome, released.charged_micros), (Outcome::Released, 0));
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (0, 0));
    assert!(limiter.settle(&id, 50).await.unwrap().repeated, "what was released is not charged later");
    assert!(spends(&limiter, &ada(), 100).await);
}

pub async fn a_drop_before_dispatch_releases(setup: &Setup) {
    let limiter = setup.limiter([dollars_an_hour(100)]);
    drop(limiter.acquire(&ada(), Demand::cost_micros(100)).await.unwrap());
    // The release reaches an external store in the background.
    let released = async || used(&limiter, &ada(), "user-cost-3600s").await == (0, 0);
    eventually("the reservation is released", released).await;
}

pub async fn a_drop_after_dispatch_charges(setup: &Setup) {
    let limiter = setup.limiter([dollars_an_hour(100)]);
    let mut admission = limiter.acquire(&ada(), Demand::cost_micros(100)).await.unwrap().admitted().unwrap();
    admission.reservation.dispatched();
    drop(admission);
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (100, 100));
    setup.pass(TTL);
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (100, 0));
}

pub async fn a_detached_reservation_settles_from_another_instance(setup: &Setup) {
    let (here, there) = (setup.limiter([dollars_an_hour(100)]), setup.limiter([dollars_an_hour(100)]));
    let id =
        here.acquire(&ada(), Demand::cost_micros(90)).await.unwrap().admitted().unwrap().reservation.detach();
    setup.pass(secs(300));
    assert_eq!(there.settle(&id, 40).await.unwrap().outcome, Outcome::Settled);
    assert_eq!(used(&here, &ada(), "user-cost-3600s").await, (40, 0));
}

pub async fn a_refund_never_reaches_a_newer_window(setup: &Setup) {
    let day = Limit::cost(Scope::Global, 100, Window::UtcDay);
    let limiter = setup.limiter([day, Limit::cost(Scope::User, 1000, sliding(60))]);
    setup.set(secs(1_700_006_399));
    let id = limiter
        .acquire(&ada(), Demand::cost_micros(80))
        .await
        .unwrap()
        .admitted()
        .unwrap()
        .reservation
        .detach();
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
    let id = limiter
        .acquire(&ada(), Demand::cost_micros(80))
        .await
        .unwrap()
        .admitted()
        .unwrap()
        .reservation
        .detach();
    setup.pass(secs(120));
    assert_eq!(used(&limiter, &ada(), "user-cost-60s").await, (0, 0));
    limiter.settle(&id, 95).await.unwrap();
    assert_eq!(used(&limiter, &ada(), "user-cost-60s").await, (15, 0), "charged now, and not lost");
}

pub async fn an_unknown_id_has_the_outcome_unknown(setup: &Setup) {
    let limiter = setup.limiter([dollars_an_hour(100)]);
    for id in ["", "nonsense", "0192f0c1-2345-7678-9abc-def012345678", "{x}:*"] {
        assert_eq!(limiter.settle(id, 5).await.unwrap().outcome, Outcome::Unknown);
        assert_eq!(limiter.release(id).await.unwrap().outcome, Outcome::Unknown);
    }
    assert_eq!(used(&limiter, &ada(), "user-cost-3600s").await, (0, 0));
    let free = limiter.acquire(&ada(), Demand::requests(1)).await.unwrap().admitted().unwrap();
    assert!(free.reservation.is_empty());
    assert_eq!(free.reservation.settle(5).await.unwrap().outcome, Outcome::Unknown);
}

pub async fn a_repeated_call_charges_once(setup: &Setup) {
    let plan = Plan::new(vec![dollars_an_hour(100), per_minute(10)]).unwrap();
    let (subjects, id) = (ada(), ReservationId::random());
    let ask = Ask::new(&plan, &subjects).requests(1).reserve(id, 60, TTL);
    for _ in 0..3 {
        let StoreDecision::Admitted(report) = setup.store.acquire(ask).await.unwrap() else {
            panic!("denied")
        };
        assert_eq!(report.statuses[0].used, 60);
        assert_eq!(report.statuses[1].used, 1);
    }
    let settled = setup.store.conclude(id, Some(60)).await.unwrap();
    assert_eq!(settled.outcome, Outcome::Settled);
}

pub async fn concurrent_reservations_never_exceed_the_limit(setup: &Setup) {
    let limiter = setup.limiter([dollars_an_hour(10_000)]);
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..1000_u64 {
        let limiter = limiter.clone();
        tasks.spawn(async move {
            let price = 1 + index * 37 % 113;
            match limiter.acquire(&ada(), Demand::cost_micros(price)).await.unwrap().admitted() {
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
