//! Stores compared with a naive log of all charges.
//!
//! The log has no rings, sums or queues. It reads all of its entries for each decision.

use std::time::Duration;

use picarcade_ratelimit::{Demand, Limit, LimitStatus, Limiter, Outcome, Scope, Subjects, Unit, Window};
use proptest::prelude::*;

use crate::setup::{START, Setup, TTL, secs, sliding};

/// One operation on a limiter.
#[derive(Debug, Clone)]
pub enum Step {
    Pass(u64),
    Acquire { user: u8, endpoint: bool, requests: u64, micros: u64 },
    Settle { which: usize, micros: u64 },
    Release { which: usize },
    Usage { user: u8 },
}

pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => prop_oneof![0_u64..900, 900_u64..40_000, Just(400_000_u64), Just(950_000_u64), Just(86_400_000_u64)].prop_map(Step::Pass),
        6 => (0_u8..3, any::<bool>(), 0_u64..4, prop_oneof![Just(0), 0_u64..60]).prop_map(
            |(user, endpoint, requests, micros)| Step::Acquire { user, endpoint, requests, micros }
        ),
        2 => (any::<usize>(), 0_u64..90).prop_map(|(which, micros)| Step::Settle { which, micros }),
        1 => any::<usize>().prop_map(|which| Step::Release { which }),
        1 => (0_u8..3).prop_map(|user| Step::Usage { user }),
    ];
    prop::collection::vec(step, 1..80)
}

pub fn limits() -> Vec<Limit> {
    vec![
        Limit::requests(Scope::User, 5, sliding(3)),
        Limit::requests(Scope::User, 12, sliding(60)),
        Limit::cost(Scope::User, 100, sliding(60)),
        Limit::requests(Scope::Endpoint, 9, sliding(10)),
        Limit::requests(Scope::Global, 60, sliding(3600)),
        Limit::cost(Scope::Global, 400, Window::UtcDay),
    ]
}

#[derive(Debug)]
struct Entry {
    at: u64,
    user: u8,
    endpoint: bool,
    requests: u64,
    micros: u64,
}

#[derive(Debug)]
struct Promise {
    id: String,
    entry: usize,
    estimate: u64,
    made: u64,
    concluded: Option<u64>,
}

/// The log of all charges.
#[derive(Debug, Default)]
struct Log {
    entries: Vec<Entry>,
    promises: Vec<Promise>,
}

impl Log {
    /// Returns the amount that counts at `now`, by the definition of the window. A sliding window
    /// has the 61 sub-buckets that touch it.
    fn used(&self, limit: &Limit, user: u8, now: u64) -> u64 {
        let counts = |at: u64| match limit.window() {
            Window::Sliding(length) => {
                let width = (length.as_micros() as u64).div_ceil(60);
                now / width - at / width <= 60
            }
            _ => now / 86_400_000_000 == at / 86_400_000_000,
        };
        let concerns = |entry: &&Entry| match limit.scope() {
            Scope::User => entry.user == user,
            Scope::Endpoint => entry.endpoint,
            _ => true,
        };
        let amount = |entry: &Entry| if limit.unit() == Unit::Cost { entry.micros } else { entry.requests };
        self.entries.iter().filter(|entry| counts(entry.at)).filter(concerns).map(amount).sum()
    }

    /// Returns the amount that is still reserved, of any age.
    fn reserved(&self, limit: &Limit, user: u8, now: u64) -> u64 {
        let open =
            |promise: &&Promise| promise.concluded.is_none() && now < promise.made + TTL.as_micros() as u64;
        let concerns =
            |promise: &&Promise| limit.scope() != Scope::User || self.entries[promise.entry].user == user;
        if limit.unit() != Unit::Cost || limit.scope() == Scope::Endpoint {
            return 0;
        }
        self.promises.iter().filter(open).filter(concerns).map(|promise| promise.estimate).sum()
    }

    fn check(&self, statuses: &[LimitStatus], limits: &[Limit], user: u8, endpoint: bool, now: u64) {
        let applying: Vec<_> =
            limits.iter().filter(|limit| endpoint || limit.scope() != Scope::Endpoint).collect();
        assert_eq!(statuses.len(), applying.len());
        for (status, limit) in statuses.iter().zip(applying) {
            let count = self.used(limit, user, now);
            assert_eq!(status.used, count, "{} at {now}", limit.name());
            assert_eq!(status.remaining, limit.limit().saturating_sub(count), "{}", limit.name());
            assert_eq!(
                status.reserved,
                self.reserved(limit, user, now).min(count),
                "{} at {now}",
                limit.name()
            );
        }
    }
}

/// Applies `steps` to the store and the log, and compares them.
pub async fn play(setup: &Setup, steps: &[Step]) {
    let limits = limits();
    let limiter = setup.limiter(limits.clone());
    let mut log = Log::default();
    for step in steps {
        let now = setup.now().as_micros() as u64;
        match step {
            Step::Pass(millis) => setup.pass(Duration::from_millis(*millis)),
            Step::Acquire { user, endpoint, requests, micros } => {
                acquire(&limiter, &mut log, &limits, (*user, *endpoint, *requests, *micros), now).await;
            }
            Step::Settle { which, micros } => conclude(&limiter, &mut log, *which, Some(*micros), now).await,
            Step::Release { which } => conclude(&limiter, &mut log, *which, None, now).await,
            Step::Usage { user } => {
                let name = user.to_string();
                let report = limiter.usage(&Subjects::default().user(&name)).await.unwrap();
                log.check(&report.statuses, &limits, *user, false, now);
            }
        }
    }
}

async fn acquire(limiter: &Limiter, log: &mut Log, limits: &[Limit], what: (u8, bool, u64, u64), now: u64) {
    let (user, endpoint, requests, micros) = what;
    let name = user.to_string();
    let mut subjects = Subjects::default().user(&name);
    if endpoint {
        subjects = subjects.endpoint("process");
    }
    let ask = |limit: &Limit| if limit.unit() == Unit::Cost { micros } else { requests };
    let violated: Vec<_> = limits
        .iter()
        .filter(|limit| endpoint || limit.scope() != Scope::Endpoint)
        .filter(|limit| ask(limit) > 0 && log.used(limit, user, now) + ask(limit) > limit.limit())
        .map(|limit| limit.name().to_owned())
        .collect();
    let decision = limiter.acquire(&subjects, Demand { requests, cost_micros: micros }).await.unwrap();
    assert_eq!(decision.is_admitted(), violated.is_empty(), "{what:?} at {now}: {violated:?}");
    if decision.is_admitted() {
        log.entries.push(Entry { at: now, user, endpoint, requests, micros });
        let admission = decision.admitted().unwrap();
        let report = admission.report.clone();
        if micros > 0 {
            let id = admission.reservation.detach();
            let entry = log.entries.len() - 1;
            log.promises.push(Promise { id, entry, estimate: micros, made: now, concluded: None });
        }
        log.check(&report.statuses, limits, user, endpoint, now);
    } else {
        let denial = decision.denied().unwrap();
        let reported: Vec<_> = denial.violated.iter().map(|status| status.name.to_string()).collect();
        assert_eq!(reported, violated);
        log.check(&denial.report.statuses, limits, user, endpoint, now);
    }
}

async fn conclude(limiter: &Limiter, log: &mut Log, which: usize, actual: Option<u64>, now: u64) {
    if log.promises.is_empty() {
        return;
    }
    let which = which % log.promises.len();
    let promise = &mut log.promises[which];
    let answer = match actual {
        Some(micros) => limiter.settle(&promise.id, micros).await.unwrap(),
        None => limiter.release(&promise.id).await.unwrap(),
    };
    let ttl = TTL.as_micros() as u64;
    let deadline = promise.made + ttl;
    if answer.outcome == Outcome::Unknown {
        let forgotten = promise.concluded.map_or(deadline, |at| at.min(deadline)) + ttl;
        assert!(now >= forgotten, "forgotten too early");
        return;
    }
    assert_eq!(answer.repeated, promise.concluded.is_some());
    if answer.repeated {
        return;
    }
    promise.concluded = Some(now);
    let (entry, estimate, actual) = (promise.entry, promise.estimate, actual.unwrap_or(0));
    let expired = now >= deadline;
    assert_eq!(answer.outcome == Outcome::Expired, expired);
    assert_eq!(answer.charged_micros, if expired { actual.max(estimate) } else { actual });
    if actual < estimate && !expired {
        log.entries[entry].micros = actual;
    }
    if actual > estimate {
        let Entry { user, endpoint, .. } = log.entries[entry];
        log.entries.push(Entry { at: now, user, endpoint, requests: 0, micros: actual - estimate });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memory_decides_like_the_log(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(play(&Setup::memory(), &steps));
    }
}

#[test]
fn the_start_is_not_at_the_edge_of_a_window() {
    assert!(START > secs(366 * 86_400));
}
