//! Gradual re-admission after closing.
//!
//! A recovered service has cold caches and a backlog of waiting clients. The admitted share of the
//! calls grows linearly. A sum meters it instead of random numbers: of any hundred calls at 30 %,
//! thirty pass, evenly distributed.

use crate::{
    Ramp,
    clock::{Tick, ticks},
};

#[derive(Debug)]
pub(super) struct Readmission {
    over: Tick,
    from: f64,
    credit: f64,
}

impl Readmission {
    pub(super) fn new(ramp: Ramp) -> Self {
        Self { over: ticks(ramp.over), from: ramp.from, credit: 1.0 }
    }

    /// A full credit: the first call after closing passes.
    pub(super) fn restart(&mut self) {
        self.credit = 1.0;
    }

    pub(super) fn is_over(&self, since: Tick, now: Tick) -> bool {
        now.saturating_sub(since) >= self.over
    }

    /// Returns `None` to admit the call, or else the tick at which all calls pass again.
    pub(super) fn refuse(&mut self, since: Tick, now: Tick) -> Option<Tick> {
        if self.is_over(since, now) {
            return None;
        }
        let done = now.saturating_sub(since) as f64 / self.over as f64;
        self.credit += (1.0 - self.from).mul_add(done, self.from);
        if self.credit >= 1.0 {
            self.credit -= 1.0;
            return None;
        }
        Some(since.saturating_add(self.over))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn passed(at_percent: u64) -> usize {
        let mut ramp = Readmission::new(Ramp { over: Duration::from_nanos(100), from: 0.1 });
        (0..1000).filter(|_| ramp.refuse(0, at_percent).is_none()).count()
    }

    #[test]
    fn a_growing_share_is_admitted() {
        // 10 % at once, then linearly to 100 %; the additional one is the first call, which always
        // passes.
        for (percent, expected) in [(0, 101), (50, 551), (100, 1000)] {
            assert!(passed(percent).abs_diff(expected) <= 1, "{percent} %: {}", passed(percent));
        }
    }

    #[test]
    fn the_end_of_the_ramp_is_reported() {
        let mut ramp = Readmission::new(Ramp { over: Duration::from_nanos(100), from: 0.1 });
        assert_eq!(ramp.refuse(7, 7), None);
        assert_eq!(ramp.refuse(7, 7), Some(107));
        assert_eq!(ramp.refuse(7, 107), None);
    }
}
