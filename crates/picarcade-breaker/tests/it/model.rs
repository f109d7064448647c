//! Random outcomes, times, cancellations and overrides against a naive model.
//!
//! The model follows the documentation and not the code. It keeps every call and every outcome in
//! lists and counts them again each time. It has no generations, slots, buckets, rings or published
//! words.

use std::time::Duration;

use picarcade_breaker::{
    Backoff, CircuitBreaker, Config, FailureKind, Outcome, Permit, Recorded, SlowCalls, State, WindowSize,
};
use proptest::prelude::*;

use crate::support::millis;

#[derive(Clone, Copy, Debug)]
enum Op {
    Acquire,
    Finish(usize, End),
    Advance(u64),
    ToTheEnd,
    Override(State),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Success,
    Failure(Option<u64>),
    Neutral,
    Drop,
    Forget,
}

/// Times are whole milliseconds.
#[derive(Debug)]
struct Call {
    era: usize,
    began: u64,
    probe: bool,
}

#[derive(Debug)]
struct Past {
    era: usize,
    at: u64,
    failed: bool,
    slow: bool,
}

#[derive(Debug)]
struct Model {
    config: Config,
    now: u64,
    state: State,
    /// The number of changes of state: two calls with the same number saw the same state.
    era: usize,
    until: u64,
    calls: Vec<Option<Call>>,
    lost: Vec<Call>,
    past: Vec<Past>,
    retry_after: u64,
    run: u32,
    probe_successes: u32,
    failed_probings: i32,
    opened: u64,
    totals: [u64; 6],
}

const SUCCESS: usize = 0;
const FAILURE: usize = 1;
const NEUTRAL: usize = 2;
const REJECTED: usize = 3;
const SLOW: usize = 4;
const LATE: usize = 5;

fn whole_millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

impl Model {
    fn new(config: Config) -> Self {
        Self {
            config,
            now: 0,
            state: State::Closed,
            era: 0,
            until: 0,
            calls: vec![],
            lost: vec![],
            past: vec![],
            retry_after: 0,
            run: 0,
            probe_successes: 0,
            failed_probings: 0,
            opened: 0,
            totals: [0; 6],
        }
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.era += 1;
        (self.probe_successes, self.retry_after) = (0, 0);
        if !matches!(state, State::Open | State::HalfOpen) {
            self.run = 0;
        }
    }

    fn open(&mut self) {
        let factor = self.config.backoff.factor.powi(self.failed_probings);
        let grown = (whole_millis(self.config.open_for) as f64 * factor) as u64;
        let time = grown.min(whole_millis(self.config.backoff.max));
        self.until = (self.now + time).max(self.retry_after);
        self.opened += 1;
        self.enter(State::Open);
    }

    fn deadline(&self, call: &Call) -> u64 {
        call.began + whole_millis(self.config.probe_deadline)
    }

    /// The deadlines of the probes that hold a slot.
    fn probing(&self) -> Vec<u64> {
        let calls = self.calls.iter().flatten().chain(&self.lost);
        calls
            .filter(|call| call.probe && call.era == self.era)
            .map(|call| self.deadline(call))
            .filter(|deadline| self.now < *deadline)
            .collect()
    }

    /// Returns the time before which no call passes.
    fn closed_until(&self) -> Option<u64> {
        match self.state {
            State::Open if self.now < self.until => Some(self.until),
            State::HalfOpen => {
                let probing = self.probing();
                (probing.len() >= self.config.probes as usize).then(|| probing.into_iter().min().unwrap())
            }
            _ => None,
        }
    }

    fn seen_state(&self) -> State {
        if self.state == State::Open && self.now >= self.until { State::HalfOpen } else { self.state }
    }

    /// Returns whether an admitted call is a probe, or how long a rejected call must wait.
    fn acquire(&mut self) -> Result<bool, u64> {
        let refused = if self.state == State::ForcedOpen {
            Some(whole_millis(self.config.open_for))
        } else {
            self.closed_until().map(|until| until - self.now)
        };
        if let Some(wait) = refused {
            self.totals[REJECTED] += 1;
            return Err(wait);
        }
        if self.state == State::Open {
            self.enter(State::HalfOpen);
        }
        let probe = self.state == State::HalfOpen;
        self.calls.push(Some(Call { era: self.era, began: self.now, probe }));
        Ok(probe)
    }

    fn finish(&mut self, index: usize, end: End) -> Recorded {
        let call = self.calls[index].take().unwrap();
        if end == End::Forget {
            self.lost.push(call);
            return Recorded::Counted;
        }
        if call.era != self.era || (call.probe && self.now >= self.deadline(&call)) {
            self.totals[LATE] += 1;
            return Recorded::Late;
        }
        if self.state == State::Disabled {
            return Recorded::Ignored;
        }
        let failed = match end {
            End::Success => false,
            End::Failure(_) => true,
            End::Neutral | End::Drop | End::Forget => {
                self.totals[NEUTRAL] += 1;
                return Recorded::Counted;
            }
        };
        let slow_after = self.config.slow_calls.map(|slow| whole_millis(slow.longer_than));
        let slow = slow_after.is_some_and(|limit| self.now - call.began >= limit);
        self.totals[if failed { FAILURE } else { SUCCESS }] += 1;
        self.totals[SLOW] += u64::from(slow);
        if let End::Failure(Some(after)) = end {
            let after = after.min(whole_millis(self.config.retry_after_max));
            self.retry_after = self.retry_after.max(self.now + after);
        }
        match self.state {
            State::HalfOpen if failed || slow => {
                self.failed_probings += 1;
                self.open();
            }
            State::HalfOpen => {
                self.probe_successes += 1;
                if self.probe_successes == self.config.success_threshold {
                    self.failed_probings = 0;
                    self.enter(State::Closed);
                }
            }
            State::Closed | State::MetricsOnly => {
                self.past.push(Past { era: self.era, at: self.now, failed, slow });
                self.run = if failed { self.run + 1 } else { 0 };
                let enough = (failed && self.run >= self.config.failure_threshold)
                    || ((failed || slow) && self.rates_are_too_high());
                if enough && self.state == State::Closed {
                    self.failed_probings = 0;
                    self.open();
                }
            }
            _ => {}
        }
        Recorded::Counted
    }

    /// The calls, failures and slow calls in the window.
    fn window(&self) -> (usize, usize, usize) {
        let mut past: Vec<_> = self.past.iter().filter(|past| past.era == self.era).collect();
        match self.config.window {
            WindowSize::Calls(calls) => drop(past.drain(..past.len().saturating_sub(calls as usize))),
            WindowSize::Time(time) => {
                let step = whole_millis(time) / 16;
                past.retain(|past| past.at / step + 16 > self.now / step);
            }
            _ => unreachable!(),
        }
        let count = |what: fn(&Past) -> bool| past.iter().filter(|past| what(past)).count();
        (past.len(), count(|past| past.failed), count(|past| past.slow))
    }

    fn rates_are_too_high(&self) -> bool {
        let (calls, failures, slow) = self.window();
        let too_high = |part: usize, rate: Option<f64>| {
            part > 0 && rate.is_some_and(|rate| part as f64 >= rate * calls as f64)
        };
        calls >= self.config.minimum_calls as usize
            && (too_high(failures, self.config.failure_rate)
                || too_high(slow, self.config.slow_calls.map(|slow| slow.rate)))
    }

    fn override_with(&mut self, state: State) {
        if state == State::Closed || state != self.state {
            self.failed_probings = 0;
            self.enter(state);
        }
    }
}

/// Asserts that the breaker and the model agree.
fn compare(breaker: &CircuitBreaker, model: &Model) {
    let statistics = breaker.statistics();
    assert_eq!(breaker.state(), model.seen_state());
    assert_eq!(statistics.state, model.seen_state());
    let available = model.state != State::ForcedOpen && model.closed_until().is_none();
    assert_eq!(breaker.is_available(), available);
    let wait = model.closed_until().map(|until| (until - model.now) as f64 / 1e3);
    assert_eq!(statistics.retry_after_seconds, wait);
    let totals = [
        statistics.success,
        statistics.failure,
        statistics.neutral,
        statistics.rejected,
        statistics.slow,
        statistics.late,
    ];
    assert_eq!(totals, model.totals);
    assert_eq!(statistics.opened_count, model.opened);
    assert_eq!(statistics.consecutive_failures, u64::from(model.run));
    if let Some(window) = statistics.window {
        let (calls, failures, slow) = model.window();
        assert_eq!(
            (window.calls, window.failures, window.slow),
            (calls as u64, failures as u64, slow as u64)
        );
    }
}

fn end(permit: Permit<'_>, end: End) -> Option<Recorded> {
    match end {
        End::Success => Some(permit.success()),
        End::Failure(after) => {
            let retry_after = after.map(millis);
            Some(permit.record(Outcome::Failure { kind: FailureKind::Server, retry_after }))
        }
        End::Neutral => Some(permit.neutral()),
        End::Drop => {
            drop(permit);
            None
        }
        End::Forget => {
            std::mem::forget(permit);
            None
        }
    }
}

async fn run(config: Config, ops: Vec<Op>) {
    let breaker = CircuitBreaker::new("model", config.clone()).unwrap();
    let mut model = Model::new(config);
    let mut permits: Vec<Option<Permit<'_>>> = vec![];
    for op in ops {
        match op {
            Op::Acquire => match (breaker.try_acquire(), model.acquire()) {
                (Ok(permit), Ok(probe)) => {
                    assert_eq!(permit.is_probe(), probe);
                    permits.push(Some(permit));
                }
                (Err(rejected), Err(wait)) => {
                    assert_eq!(rejected.retry_after, millis(wait));
                    assert_eq!(rejected.state, model.state);
                }
                (breaker, model) => panic!("the breaker says {breaker:?}, the model {model:?}"),
            },
            Op::Finish(pick, how) => {
                let open: Vec<_> = (0..permits.len()).filter(|index| permits[*index].is_some()).collect();
                if !open.is_empty() {
                    let index = open[pick % open.len()];
                    let recorded = end(permits[index].take().unwrap(), how);
                    let expected = model.finish(index, how);
                    assert!(
                        recorded.is_none_or(|recorded| recorded == expected),
                        "{recorded:?} {expected:?}"
                    );
                }
            }
            Op::Advance(time) => {
                tokio::time::advance(millis(time)).await;
                model.now += time;
            }
            Op::ToTheEnd => {
                let time = model.closed_until().map_or(0, |until| until - model.now);
                tokio::time::advance(millis(time)).await;
                model.now += time;
                assert!(time == 0 || breaker.is_available(), "the wait that was promised is over");
            }
            Op::Override(state) => {
                match state {
                    State::ForcedOpen => breaker.force_open(),
                    State::ForcedClosed => breaker.force_close(),
                    State::Disabled => breaker.disable(),
                    State::MetricsOnly => breaker.metrics_only(),
                    _ => breaker.reset(),
                }
                model.override_with(state);
            }
        }
        compare(&breaker, &model);
    }
}

fn configs() -> impl Strategy<Value = Config> {
    let windows = prop_oneof![
        (5_u32..12).prop_map(WindowSize::Calls),
        prop_oneof![Just(160_u64), Just(1600)].prop_map(|time| WindowSize::Time(millis(time))),
    ];
    let rates = (prop::option::of(0.1..=1.0), prop::option::of((1_u64..60, 0.1..=1.0)));
    let counts = (1_u32..6, 1_u32..4, 1_u32..4, 1_u32..6);
    let times = (1_u64..200, 1_u64..200, 1.0..3.0_f64, 1_u64..800, 0_u64..500);
    (windows, rates, counts, times).prop_map(|(window, (failure_rate, slow), counts, times)| {
        let (failure_threshold, success_threshold, probes, minimum_calls) = counts;
        let (open_for, probe_deadline, factor, max, retry_after_max) = times;
        // A whole number of milliseconds for every growth.
        let backoff = Backoff { factor: factor.floor(), max: millis(max.max(open_for)), jitter: 0.0 };
        Config {
            failure_threshold,
            success_threshold,
            probes,
            minimum_calls: minimum_calls.min(5),
            open_for: millis(open_for),
            probe_deadline: millis(probe_deadline),
            window,
            failure_rate,
            slow_calls: slow.map(|(time, rate)| SlowCalls { longer_than: millis(time), rate }),
            backoff,
            retry_after_max: millis(retry_after_max),
            ..Config::default()
        }
    })
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let ends = prop_oneof![
        6 => Just(End::Success),
        6 => prop::option::weighted(0.3, 0_u64..600).prop_map(End::Failure),
        1 => Just(End::Neutral),
        1 => Just(End::Drop),
        1 => Just(End::Forget),
    ];
    let overrides = prop::sample::select(vec![
        State::Closed,
        State::ForcedOpen,
        State::ForcedClosed,
        State::Disabled,
        State::MetricsOnly,
    ]);
    let op = prop_oneof![
        30 => Just(Op::Acquire),
        30 => (any::<usize>(), ends).prop_map(|(pick, end)| Op::Finish(pick, end)),
        10 => (0_u64..80).prop_map(Op::Advance),
        6 => Just(Op::ToTheEnd),
        1 => overrides.prop_map(Op::Override),
        1 => Just(Op::Override(State::Closed)),
    ];
    prop::collection::vec(op, 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_breaker_agrees_with_the_model(config in configs(), ops in ops()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(run(config, ops));
    }
}
