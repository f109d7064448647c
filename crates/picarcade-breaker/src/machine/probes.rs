//! The slots of the half-open state: leases with a deadline.

use crate::{
    Config,
    clock::{Tick, ticks},
};

#[derive(Debug)]
pub(super) struct Probes {
    slots: usize,
    lease: Tick,
    /// The active probes: number and deadline. Never longer than `slots`, and so short that a scan
    /// is fastest.
    taken: Vec<(u64, Tick)>,
    /// Numbers are never reused, so a lost probe cannot release the slot of its successor.
    last: u64,
}

impl Probes {
    pub(super) fn new(config: &Config) -> Self {
        let slots = config.probes as usize;
        Self { slots, lease: ticks(config.probe_deadline), taken: Vec::with_capacity(slots), last: 0 }
    }

    /// Takes a slot, if necessary from a probe whose deadline has passed.
    pub(super) fn take(&mut self, now: Tick) -> Option<u64> {
        self.taken.retain(|&(_, deadline)| now < deadline);
        if self.taken.len() >= self.slots {
            return None;
        }
        self.last += 1;
        self.taken.push((self.last, now.saturating_add(self.lease)));
        Some(self.last)
    }

    /// Returns whether the probe still held its slot. After its deadline it does not, even if the
    /// slot was not reassigned: the result of a probe must not depend on other calls.
    pub(super) fn give_back(&mut self, probe: u64, now: Tick) -> bool {
        let found = self.taken.iter().position(|&(number, _)| number == probe);
        found.map(|index| self.taken.swap_remove(index)).is_some_and(|(_, deadline)| now < deadline)
    }

    /// Returns the first moment at which a slot is free if no probe reports earlier; zero if one is
    /// free now.
    pub(super) fn free_at(&self) -> Tick {
        if self.taken.len() < self.slots {
            return 0;
        }
        self.taken.iter().map(|&(_, deadline)| deadline).min().unwrap_or(0)
    }

    pub(super) fn clear(&mut self) {
        self.taken.clear();
    }
}
