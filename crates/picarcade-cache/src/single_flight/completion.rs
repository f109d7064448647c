//! How a flight ends: stored or not, those who wait are released exactly once, whatever ends it.

use std::sync::Arc;

use crate::{
    Key, Options, Source,
    entry::Entry,
    inner::Inner,
    level1::invalidations::Standing,
    single_flight::flight::{Flight, Outcome, Place},
};

/// The flight's end, whatever brings it: dropped early, it releases those who wait.
pub(crate) struct Landing<V> {
    pub(crate) inner: Arc<Inner<V>>,
    pub(crate) key: Key,
    flight: Arc<Flight<V>>,
    _place: Place,
    /// The caller asked for that: the flight was never registered.
    keeps_nothing: bool,
    /// Whether it is a task. Until then its caller may leave, and somebody else has to take the lead.
    is_task: bool,
}

impl<V> Landing<V> {
    pub(crate) fn new(
        inner: &Arc<Inner<V>>,
        key: Key,
        flight: Arc<Flight<V>>,
        place: Place,
        options: &Options,
    ) -> Self {
        let (inner, keeps_nothing) = (Arc::clone(inner), options.no_write);
        Self { inner, key, flight, _place: place, keeps_nothing, is_task: false }
    }

    /// From here on nobody else takes the lead.
    pub(crate) fn becomes_a_task(&mut self) {
        self.is_task = true;
    }

    /// Hands the outcome to those who wait, without storing anything.
    pub(crate) fn land(&self, outcome: Outcome<V>) {
        self.inner.flights.finish(&self.key, &self.flight, || ());
        self.flight.land(outcome);
    }

    /// Stores the entry, if nothing invalidated it meanwhile, and hands it to those who wait. Returns whether it was
    /// stored.
    pub(crate) fn land_with(&self, entry: &Entry<V>, source: Source) -> bool {
        let inner = &self.inner;
        let mut stored = false;
        let registered = inner.flights.finish(&self.key, &self.flight, || {
            let tags = entry.tags.as_ref().map(|tags| tags.as_slice());
            if inner.invalidations.standing(entry.born, tags) != Standing::Invalidated {
                inner.memory.insert(self.key, entry.clone());
                stored = true;
            }
        });
        if registered != stored || (!registered && !self.keeps_nothing) {
            inner.counters.late_writes.one();
        }
        self.flight.land(Outcome::Found(entry.clone(), source));
        stored
    }
}

impl<V> Drop for Landing<V> {
    fn drop(&mut self) {
        // Nothing happens when it has landed already.
        self.land(if self.is_task { Outcome::Panicked } else { Outcome::Abandoned });
    }
}
