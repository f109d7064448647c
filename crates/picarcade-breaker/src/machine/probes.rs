//! The slots of the half-open state: leases with a deadline.

use crate::{
    Config,
    clock::{Tick, ticks},
};

#[derive(Debug)]
pub(super) struct Probes {
    slots: usize,
    lease: Tick,
    /// The probes under way: number and deadline. Never longer than `slots`, and so short that a scan is fastest.
    taken: Vec<(u64, Tick)>,
    /// Numbers are never used twice, so a lost probe cannot give back the slot of its successor.
    last: u64,
}

impl Probes {
    pub(super) fn new(config: &Config) -> Self {
        let slots = config.probes as usize;
        Self { slots, lease: ticks(config.probe_deadline), taken: Vec::with_capacity(slots), last: 0 }
    }

    /// Takes a slot, if need be that of a probe whose deadline has passed.
    pub(super) fn take(&mut self, now: Tick) -> Option<u64> {
        self.taken.retain(|&(_, deadline)| now < deadline);
        if self.taken.len() >= self.slots {
            return None;
        }
        self.last += 1;
        self.taken.push((self.last, now.saturating_add(self.lease)));
        Some(self.last)
    }

    /// Whether the probe still held its slot. After its deadline it does not, even if nobody took it yet: what a probe
    /// is worth must not depend on who else called.
    pub(super) fn give_back(&mut self, probe: u64, now: Tick) -> bool {
        let found = self.taken.iter().position(|&(number, _)| number == probe);
        found.map(|index| self.taken.swap_remove(index)).is_some_and(|(_, deadline)| now < deadline)
    }

    /// The first moment at which a slot is free if nobody reports before; zero when one is.
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
