//! The circuit breaker: admission in front of a call, judgement behind it.
//!
//! The handle is cheap to clone; all clones are one breaker. The hot paths are here, and they are short: a closed call
//! with the consecutive policy loads one word, and when it succeeds loads two and adds one to a counter of its lane.

use std::sync::Arc;

use tokio::sync::broadcast;

use crate::{
    Config, ConfigError, Event, Name, OwnedPermit, Permit, Rejected, State, inner::Inner, machine::Mode,
    validate::validate,
};

/// A circuit breaker. Clones are handles of the same breaker.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use picarcade_breaker::{CallError, CircuitBreaker, Config, State};
///
/// let breaker = CircuitBreaker::new("anthropic", Config::default().failure_threshold(2)).expect("sound");
/// for _ in 0..2 {
///     let _ = breaker.call(async { Err::<(), _>("overloaded") }).await;
/// }
/// assert_eq!(breaker.state(), State::Open);
/// let error = breaker.call(async { Ok::<_, &str>(()) }).await.expect_err("open");
/// assert!(matches!(error, CallError::Rejected(rejected) if rejected.retry_after.as_secs() >= 59));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct CircuitBreaker {
    pub(crate) inner: Arc<Inner>,
}

impl CircuitBreaker {
    /// A closed breaker.
    ///
    /// # Errors
    /// [`ConfigError`], naming the field, when the configuration cannot work.
    pub fn new(name: impl Into<Arc<str>>, config: Config) -> Result<Self, ConfigError> {
        validate(&config)?;
        Ok(Self { inner: Arc::new(Inner::new(name.into(), config)) })
    }

    /// A closed breaker with the [preset](Config::preset) of its name.
    #[must_use]
    pub fn preset(name: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        // Every preset is sound; a test of the validation says so.
        let config = Config::preset(&name);
        Self { inner: Arc::new(Inner::new(name, config)) }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.inner.name
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Admits a call, or returns when to come back. The caller records the outcome at the permit. A
    /// permit that is dropped without one counts as neutral, or as a time-out if a
    /// [`Deadline`](crate::Deadline) ended the call (see [`Permit`]).
    ///
    /// Never waits and allocates nothing.
    ///
    /// # Errors
    /// [`Rejected`] while the breaker does not admit the call.
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<'_>, Rejected> {
        match self.inner.admit() {
            Ok(ticket) => Ok(Permit::new(&self.inner, ticket)),
            Err(refusal) => Err(self.inner.rejection(refusal)),
        }
    }

    /// Like [`try_acquire`](Self::try_acquire), with a permit that borrows nothing (and counts a reference instead).
    ///
    /// # Errors
    /// [`Rejected`] while the breaker does not admit the call.
    pub fn try_acquire_owned(&self) -> Result<OwnedPermit, Rejected> {
        match self.inner.admit() {
            Ok(ticket) => Ok(OwnedPermit::new(Arc::clone(&self.inner), ticket)),
            Err(refusal) => Err(self.inner.rejection(refusal)),
        }
    }

    /// What the breaker does with the next call.
    ///
    /// An open breaker whose open time is over is reported as [`State::HalfOpen`], because the next call will be a probe;
    /// while the open time lasts, or the fleet holds the breaker open for another instance's probe, it is
    /// [`State::Open`]. Takes no lock.
    #[must_use]
    pub fn state(&self) -> State {
        let word = self.inner.gate.word();
        match word.mode() {
            Mode::Open if self.inner.timer.now() >= self.inner.gate.refuse_before() => State::HalfOpen,
            mode => mode.state(),
        }
    }

    /// Whether a call would be admitted now. Takes no slot and no lock, so another caller may be faster.
    #[must_use]
    pub fn is_available(&self) -> bool {
        match self.inner.gate.word().mode() {
            Mode::Open | Mode::HalfOpen => self.inner.timer.now() >= self.inner.gate.refuse_before(),
            Mode::ForcedOpen => false,
            Mode::Closed | Mode::Ramping | Mode::ForcedClosed | Mode::Disabled | Mode::MetricsOnly => true,
        }
    }

    /// Rejects every call until [`reset`](Self::reset) or another override. No timer ends it.
    pub fn force_open(&self) {
        self.inner.override_with(Mode::ForcedOpen);
    }

    /// Admits every call until [`reset`](Self::reset) or another override. Outcomes are summed up and judge nothing.
    pub fn force_close(&self) {
        self.inner.override_with(Mode::ForcedClosed);
    }

    /// Admits every call and records nothing until [`reset`](Self::reset) or another override.
    pub fn disable(&self) {
        self.inner.override_with(Mode::Disabled);
    }

    /// Admits and judges every call, but only announces what it would have done, until [`reset`](Self::reset) or another
    /// override.
    pub fn metrics_only(&self) {
        self.inner.override_with(Mode::MetricsOnly);
    }

    /// Closes the breaker and forgets what it judged by: the run of failures, the window, the growth of the open time.
    /// Ends every override. The totals stay.
    pub fn reset(&self) {
        self.inner.override_with(Mode::Closed);
    }

    /// The changes of state from now on. The channel is bounded: a subscriber that is too slow misses the oldest and is
    /// told how many ([`RecvError::Lagged`](broadcast::error::RecvError::Lagged)). No subscriber can slow a call down.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.inner.events.subscribe()
    }

    /// Whether both are handles of the same breaker.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}
