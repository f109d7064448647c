//! The fleet: a quorum opens, one elected instance probes, and a partitioned instance continues to
//! work alone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use picarcade_breaker::{
    Backoff, BreakerEvent, Cause, CircuitBreaker, Config, State,
    fleet::{Ballot, FleetConfig, FleetError, FleetMember, FleetView, MemoryFleetView, VoteCount},
};

use crate::fleet_contract;
use crate::support::{advance, breaker, fail, secs, succeed};

#[tokio::test(start_paused = true)]
async fn the_memory_view_keeps_the_contract() {
    fleet_contract::check(&MemoryFleetView::new(), "memory").await;
}

/// The connection of one instance to the shared view, which a test can cut.
#[derive(Debug)]
struct Line {
    view: Arc<dyn FleetView>,
    fault: AtomicU8,
}

const WHOLE: u8 = 0;
const CUT: u8 = 1;
const HANGING: u8 = 2;

impl Line {
    async fn cross(&self) -> Result<(), FleetError> {
        match self.fault.load(Ordering::Relaxed) {
            WHOLE => Ok(()),
            CUT => Err(FleetError("cut".into())),
            _ => std::future::pending().await,
        }
    }
}

#[async_trait]
impl FleetView for Line {
    async fn vote(
        &self,
        breaker: &str,
        instance: &str,
        ballot: Ballot,
        ttl: Duration,
    ) -> Result<VoteCount, FleetError> {
        self.cross().await?;
        self.view.vote(breaker, instance, ballot, ttl).await
    }

    async fn elect(&self, breaker: &str, instance: &str, lease: Duration) -> Result<bool, FleetError> {
        self.cross().await?;
        self.view.elect(breaker, instance, lease).await
    }

    async fn leave(&self, breaker: &str, instance: &str) -> Result<(), FleetError> {
        self.cross().await?;
        self.view.leave(breaker, instance).await
    }
}

struct Instance {
    breaker: CircuitBreaker,
    line: Arc<Line>,
    member: FleetMember,
}

fn fleet(size: usize) -> Vec<Instance> {
    let view: Arc<dyn FleetView> = Arc::new(MemoryFleetView::new());
    let config = Config::default().failure_threshold(2).success_threshold(1).backoff(Backoff {
        jitter: 0.0,
        factor: 1.0,
        ..Backoff::default()
    });
    (0..size)
        .map(|number| {
            let breaker = breaker(config.clone());
            let line = Arc::new(Line { view: Arc::clone(&view), fault: AtomicU8::new(WHOLE) });
            let member = FleetConfig::new(format!("instance-{number}"));
            let member = FleetMember::join(breaker.clone(), Arc::clone(&line) as _, member).unwrap();
            Instance { breaker, line, member }
        })
        .collect()
}

/// Lets the members run, second by second.
async fn pass(seconds: u64) {
    for _ in 0..seconds {
        advance(secs(1)).await;
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
}

fn open(instance: &Instance) {
    fail(&instance.breaker);
    fail(&instance.breaker);
    assert_eq!(instance.breaker.state(), State::Open);
}

fn states(fleet: &[Instance]) -> Vec<State> {
    fleet.iter().map(|instance| instance.breaker.state()).collect()
}

fn available(fleet: &[Instance]) -> usize {
    fleet.iter().filter(|instance| instance.breaker.is_available()).count()
}

#[tokio::test(start_paused = true)]
async fn a_quorum_opens_the_others_early() {
    let fleet = fleet(4);
    let mut events = fleet[3].breaker.subscribe();
    pass(2).await;
    open(&fleet[0]);
    pass(5).await;
    assert_eq!(
        states(&fleet),
        [State::Open, State::Closed, State::Closed, State::Closed],
        "one is no quorum"
    );
    open(&fleet[1]);
    pass(2).await;
    assert_eq!(states(&fleet), [State::Open; 4]);
    let event = events.try_recv().unwrap();
    assert!(matches!(event, BreakerEvent::StateChanged { cause: Cause::FleetQuorum, .. }), "{event:?}");
}

#[tokio::test(start_paused = true)]
async fn followers_do_not_count_as_evidence() {
    let fleet = fleet(4);
    pass(2).await;
    open(&fleet[0]);
    open(&fleet[1]);
    pass(2).await;
    // Both witnesses recover by hand. If the ballots of the followers were evidence, they would
    // keep each other open forever.
    for witness in &fleet[..2] {
        witness.breaker.reset();
    }
    pass(5).await;
    assert_eq!(states(&fleet[..2]), [State::Closed; 2]);
}

#[tokio::test(start_paused = true)]
async fn one_elected_instance_probes_and_its_success_frees_the_others() {
    let fleet = fleet(5);
    pass(2).await;
    fleet.iter().for_each(open);
    pass(63).await;
    assert_eq!(available(&fleet), 1, "{:?}", states(&fleet));
    pass(10).await;
    assert_eq!(available(&fleet), 1, "the others are held while it has its lease");
    let prober = fleet.iter().position(|instance| instance.breaker.is_available()).unwrap();
    succeed(&fleet[prober].breaker);
    assert_eq!(fleet[prober].breaker.state(), State::Closed);
    pass(2).await;
    assert_eq!(available(&fleet), 5);
    for (number, instance) in fleet.iter().enumerate() {
        let expected = if number == prober { State::Closed } else { State::HalfOpen };
        assert_eq!(instance.breaker.state(), expected, "each closes by its own probes only");
        succeed(&instance.breaker);
        assert_eq!(instance.breaker.state(), State::Closed);
    }
    pass(20).await;
    assert_eq!(states(&fleet), [State::Closed; 5]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_probe_keeps_the_others_out() {
    let fleet = fleet(5);
    pass(2).await;
    fleet.iter().for_each(open);
    pass(63).await;
    let prober = fleet.iter().find(|instance| instance.breaker.is_available()).unwrap();
    fail(&prober.breaker);
    pass(10).await;
    assert_eq!(available(&fleet), 0);
}

#[tokio::test(start_paused = true)]
async fn a_prober_that_dies_is_replaced() {
    let mut fleet = fleet(3);
    pass(2).await;
    fleet.iter().for_each(open);
    pass(63).await;
    let prober = fleet.iter().position(|instance| instance.breaker.is_available()).unwrap();
    drop(fleet.remove(prober));
    assert_eq!(available(&fleet), 0);
    pass(35).await;
    assert_eq!(available(&fleet), 1, "nobody was elected in its place");
}

#[tokio::test(start_paused = true)]
async fn a_partitioned_instance_works_alone() {
    for fault in [CUT, HANGING] {
        let fleet = fleet(3);
        let alone = &fleet[2];
        pass(2).await;
        alone.line.fault.store(fault, Ordering::Relaxed);
        open(&fleet[0]);
        open(&fleet[1]);
        pass(5).await;
        assert_eq!(states(&fleet), [State::Open, State::Open, State::Closed], "no message reached it");
        // The partitioned instance opens by its own evidence, probes at its own time and closes by
        // its own probe.
        open(alone);
        pass(60).await;
        assert!(alone.breaker.is_available());
        succeed(&alone.breaker);
        assert_eq!(alone.breaker.state(), State::Closed);
        // After its return to the fleet, its ballot counts.
        alone.line.fault.store(WHOLE, Ordering::Relaxed);
        pass(5).await;
        assert_eq!(alone.breaker.state(), State::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_held_instance_probes_after_the_maximum_hold() {
    let fleet = fleet(2);
    pass(2).await;
    fleet.iter().for_each(open);
    // Another instance takes the lease again and again and never probes.
    let view = Arc::clone(&fleet[0].line.view);
    let squatter = tokio::spawn(async move {
        loop {
            let _ = view.elect("test", "squatter", secs(600)).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    pass(63).await;
    assert_eq!(available(&fleet), 0);
    pass(120).await;
    assert_eq!(available(&fleet), 2, "a hold has an end");
    squatter.abort();
}

#[tokio::test(start_paused = true)]
async fn overrides_are_not_steered() {
    let fleet = fleet(4);
    fleet[2].breaker.force_close();
    fleet[3].breaker.disable();
    pass(2).await;
    open(&fleet[0]);
    open(&fleet[1]);
    pass(5).await;
    assert_eq!(states(&fleet[2..]), [State::ForcedClosed, State::Disabled]);
}

#[tokio::test(start_paused = true)]
async fn leaving_removes_the_ballot() {
    let mut fleet = fleet(2);
    pass(2).await;
    let view = Arc::clone(&fleet[0].line.view);
    fleet.remove(0).member.leave().await.unwrap();
    let tally = view.vote("test", "guest", Ballot::Closed, secs(1)).await.unwrap();
    assert_eq!(tally.instances, 2, "the guest and the one that stayed");
}

#[tokio::test(start_paused = true)]
async fn an_invalid_configuration_is_an_error_with_its_field() {
    let good = || FleetConfig::new("a");
    for (field, config) in [
        ("instance", FleetConfig::new("")),
        ("interval", FleetConfig { interval: Duration::ZERO, ..good() }),
        ("quorum", FleetConfig { quorum: f64::NAN, ..good() }),
        ("quorum_minimum", FleetConfig { quorum_minimum: 1, ..good() }),
        ("lease", FleetConfig { lease: secs(2), ..good() }),
        ("hold_max", FleetConfig { hold_max: secs(4000), ..good() }),
    ] {
        let view = Arc::new(MemoryFleetView::new());
        let error = FleetMember::join(breaker(Config::default()), view, config).unwrap_err();
        assert_eq!(error.field(), Some(field));
    }
}
