//! The circuit breaker, as its users see it: admission of calls, overrides and events.

use std::sync::Arc;

use tokio::sync::broadcast;

use crate::{
    BreakerEvent, Config, ConfigError, Name, OwnedPermit, Permit, Rejected, State, inner::Inner,
    machine::Mode, validate::validate,
};

/// A circuit breaker. Clones are handles of the same breaker.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use picarcade_breaker::{CallError, CircuitBreaker, Config, State};
///
/// let config = Config::default().failure_threshold(2);
/// let breaker = CircuitBreaker::new("anthropic", config).expect("valid");
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
    /// Creates a closed breaker.
    ///
    /// # Errors
    ///
    /// Returns [`ConfigError`] with the wrong field.
    pub fn new(name: impl Into<Arc<str>>, config: Config) -> Result<Self, ConfigError> {
        validate(&config)?;
        Ok(Self { inner: Arc::new(Inner::new(name.into(), config)) })
    }

    /// Creates a closed breaker with the [preset](Config::preset) of its name.
    #[must_use]
    pub fn preset(name: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        // Every preset is valid; a test of the validation checks this.
        let config = Config::preset(&name);
        Self { inner: Arc::new(Inner::new(name, config)) }
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.inner.name
    }

    /// Returns the configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Admits a call, or returns when to try again. The caller records the outcome with the permit.
    ///
    /// Never waits and allocates nothing.
    ///
    /// # Errors
    ///
    /// Returns [`Rejected`] if the breaker does not admit the call.
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<'_>, Rejected> {
        self.inner.admit().map(|ticket| Permit::new(&self.inner, ticket))
    }

    /// Like [`try_acquire`](Self::try_acquire), but the permit counts a reference instead of
    /// borrowing the breaker.
    ///
    /// # Errors
    ///
    /// Returns [`Rejected`] if the breaker does not admit the call.
    pub fn try_acquire_owned(&self) -> Result<OwnedPermit, Rejected> {
        self.inner.admit().map(|ticket| OwnedPermit::new(Arc::clone(&self.inner), ticket))
    }

    /// Returns what the breaker does with the next call. Takes no lock.
    ///
    /// An open breaker is [`State::HalfOpen`] as soon as its open time is over, because the next
    /// call will be a probe. It stays [`State::Open`] while the open time lasts, or while the fleet
    /// holds it open for the probe of another instance.
    #[must_use]
    pub fn state(&self) -> State {
        let word = self.inner.gate.word();
        match word.mode() {
            Mode::Open if self.inner.timer.now() >= self.inner.gate.refuse_before() => State::HalfOpen,
            mode => mode.state(),
        }
    }

    /// Returns whether a call would be admitted now. Reserves nothing and takes no lock, so the
    /// next call may still be rejected.
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

    /// Admits every call until [`reset`](Self::reset) or another override. Outcomes are counted but
    /// cannot open the breaker.
    pub fn force_close(&self) {
        self.inner.override_with(Mode::ForcedClosed);
    }

    /// Admits every call and records nothing until [`reset`](Self::reset) or another override.
    pub fn disable(&self) {
        self.inner.override_with(Mode::Disabled);
    }

    /// Admits and judges every call until [`reset`](Self::reset) or another override. Instead of
    /// opening, the breaker only sends [`BreakerEvent::WouldOpen`].
    pub fn metrics_only(&self) {
        self.inner.override_with(Mode::MetricsOnly);
    }

    /// Closes the breaker, ends every override, and clears the run of failures, the window and the
    /// growth of the open time. The totals stay.
    pub fn reset(&self) {
        self.inner.override_with(Mode::Closed);
    }

    /// Subscribes to the changes of state from now on. The channel is bounded: a slow subscriber
    /// misses the oldest events and receives their number
    /// ([`RecvError::Lagged`](broadcast::error::RecvError::Lagged)). Subscribers cannot slow down
    /// calls.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<BreakerEvent> {
        self.inner.events.subscribe()
    }

    /// Returns whether both are handles of the same breaker.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}
