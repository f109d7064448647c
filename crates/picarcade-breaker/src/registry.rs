//! Named breakers: one per service that is called, created when first asked for.
//!
//! A registry is bounded, like everything that grows by names. Names are those of services and come from code or
//! configuration; should they ever come from outside, the registry stops at [`Registry::MAX`] and everything further
//! shares one breaker, named [`Registry::OVERFLOW`]. Look-ups for people (an admin route) use [`Registry::find`], which
//! creates nothing.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::RwLock;

use crate::{CircuitBreaker, Config, ConfigError, Statistics};

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
    /// The most breakers that a registry holds.
    pub const MAX: usize = 1024;

    /// The name of the breaker that stands for all names beyond [`Registry::MAX`].
    pub const OVERFLOW: &'static str = "overflow";

    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The breaker of this name, created with [`Config::preset`] when there is none.
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

    /// Creates the breaker of this name with this configuration, or returns the one that has it.
    ///
    /// # Errors
    /// [`ConfigError`] when the configuration cannot work, or when a breaker of this name has another one: it may be in
    /// use, and two breakers of one name would each see half of the calls.
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

    /// The breaker of this name, if there is one.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<CircuitBreaker> {
        self.breakers.read().get(name).cloned()
    }

    /// Every breaker, sorted by name.
    #[must_use]
    pub fn all(&self) -> Vec<CircuitBreaker> {
        self.breakers.read().values().cloned().collect()
    }

    /// Every breaker, sorted by name: a snapshot, which breakers that come later do not join.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = CircuitBreaker> + use<> {
        self.all().into_iter()
    }

    /// A reading of every breaker, sorted by name.
    #[must_use]
    pub fn statistics(&self) -> Vec<Statistics> {
        self.iter().map(|breaker| breaker.statistics()).collect()
    }

    /// Writes every breaker's totals and state to the installed recorder; see
    /// [`CircuitBreaker::publish_metrics`].
    #[cfg(feature = "metrics")]
    pub fn publish_metrics(&self) {
        for breaker in self.iter() {
            breaker.publish_metrics();
        }
    }
}

impl IntoIterator for &Registry {
    type Item = CircuitBreaker;
    type IntoIter = std::vec::IntoIter<CircuitBreaker>;

    fn into_iter(self) -> Self::IntoIter {
        self.all().into_iter()
    }
}
