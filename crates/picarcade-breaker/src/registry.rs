//! Named breakers: one per called service, created on first use.
//!
//! A registry is bounded, like everything that grows by names. Names are those of services and come
//! from code or configuration. If they ever come from outside, the registry stops at
//! [`Registry::MAX`], and all further names share one breaker, named [`Registry::OVERFLOW`]. Use
//! [`Registry::find`] for look-ups by people (an admin route): it creates nothing.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::RwLock;

use crate::{BreakerStatistics, CircuitBreaker, Config, ConfigError};

/// A set of named breakers. Clones are handles of the same set.
///
/// ```
/// use picarcade_breaker::{Config, Registry};
///
/// let registry = Registry::new();
/// registry.with_config("search", Config::default().failure_threshold(10))?;
/// assert_eq!(registry.breaker("openai").config().failure_threshold, 3); // a preset
/// assert_eq!(registry.breaker("search").config().failure_threshold, 10);
/// # Ok::<_, picarcade_breaker::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Registry {
    breakers: Arc<RwLock<BTreeMap<Arc<str>, CircuitBreaker>>>,
}

impl Registry {
    /// The maximum number of breakers of a registry.
    pub const MAX: usize = 1024;

    /// The name of the breaker for all names beyond [`Registry::MAX`].
    pub const OVERFLOW: &'static str = "overflow";

    /// Creates an empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the breaker with this name. Creates it with [`Config::preset`] if there is none.
    #[must_use]
    pub fn breaker(&self, name: &str) -> CircuitBreaker {
        if let Some(breaker) = self.find(name) {
            return breaker;
        }
        let mut breakers = self.breakers.write();
        let name = if breakers.len() < Self::MAX { name } else { Self::OVERFLOW };
        if let Some(breaker) = breakers.get(name) {
            return breaker.clone();
        }
        let breaker = CircuitBreaker::preset(name);
        breakers.insert(name.into(), breaker.clone());
        breaker
    }

    /// Creates the breaker with this name and configuration, or returns the existing one.
    ///
    /// # Errors
    ///
    /// Returns [`ConfigError`] if the configuration is invalid, or if a breaker with this name has
    /// another configuration. It may be in use, and two breakers with one name would each see half
    /// of the calls.
    pub fn with_config(
        &self,
        name: impl Into<Arc<str>>,
        config: Config,
    ) -> Result<CircuitBreaker, ConfigError> {
        let name = name.into();
        let mut breakers = self.breakers.write();
        if let Some(breaker) = breakers.get(&name) {
            return if *breaker.config() == config {
                Ok(breaker.clone())
            } else {
                Err(ConfigError::AlreadyRegistered { name: name.into() })
            };
        }
        if breakers.len() >= Self::MAX {
            return Err(ConfigError::OutOfRange { field: "name", expected: "one of at most 1024 names" });
        }
        let breaker = CircuitBreaker::new(Arc::clone(&name), config)?;
        breakers.insert(name, breaker.clone());
        Ok(breaker)
    }

    /// Returns the breaker with this name, if there is one.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<CircuitBreaker> {
        self.breakers.read().get(name).cloned()
    }

    /// Returns every breaker, sorted by name.
    #[must_use]
    pub fn all(&self) -> Vec<CircuitBreaker> {
        self.breakers.read().values().cloned().collect()
    }

    /// Returns the statistics of every breaker, sorted by name.
    #[must_use]
    pub fn statistics(&self) -> Vec<BreakerStatistics> {
        self.breakers.read().values().map(CircuitBreaker::statistics).collect()
    }

    /// Publishes the totals and the state of every breaker to the installed recorder; see
    /// [`CircuitBreaker::publish_metrics`].
    #[cfg(feature = "metrics")]
    pub fn publish_metrics(&self) {
        for breaker in self.all() {
            breaker.publish_metrics();
        }
    }
}
