//! The shell of the state machine: one lock for changes, and published words for lock-free reads.
//!
//! A closed call must neither take a lock nor write to a cache line that other cores read. The mode
//! and the generation of the machine are therefore published in one word. A reader of that word
//! knows the generation that admitted its call, and a second read shows whether the generation is
//! still current. Everything else (a failure, a probe, a success that ends a run of failures, an
//! override) takes the lock. The lock is held for nanoseconds and never across a call, an event or
//! a wait.
//!
//! Rejections need no lock either: `refuse_before` says until when asking is pointless.
//!
//! A bit of the same word says whether there is a run of failures. In a separate word, a success
//! could read the generation from before an opening and the run from after it, find nothing to end,
//! and be counted in a run that it did not end.
//!
//! The order of publication makes the other reads correct: first all other words, then the word
//! with the generation (release). A reader that sees a generation (acquire) sees at least the words
//! of that generation. It may see a word of a *later* generation together with an earlier one. Then
//! the state has already changed, and the answer is that of the later state.

use super::sync::{AtomicU64, Mutex, Ordering};
use crate::{
    Recorded,
    clock::Tick,
    machine::{Admission, Change, Late, Machine, Mode, Report, Ticket},
};

/// A generation, the mode it began with (or, at the end of a ramp, changed to), and whether there
/// is a run of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word(u64);

impl Word {
    const RUN: u64 = 0b1000;

    const fn of(machine: &Machine) -> Self {
        let run = if machine.consecutive() == 0 { 0 } else { Self::RUN };
        Self(machine.generation() << 4 | run | machine.mode() as u64)
    }

    #[inline]
    pub(crate) const fn generation(self) -> u64 {
        self.0 >> 4
    }

    #[inline]
    pub(crate) const fn mode(self) -> Mode {
        Mode::from_bits(self.0)
    }

    #[inline]
    const fn has_run(self) -> bool {
        self.0 & Self::RUN != 0
    }
}

/// What can be read of one generation without a lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot {
    pub(crate) word: Word,
    pub(crate) refuse_before: Tick,
    pub(crate) consecutive: u64,
    pub(crate) since: Tick,
    pub(crate) opened: u64,
}

#[derive(Debug)]
pub(crate) struct Gate {
    word: AtomicU64,
    refuse_before: AtomicU64,
    consecutive: AtomicU64,
    since: AtomicU64,
    opened: AtomicU64,
    /// Odd while words are being published.
    version: AtomicU64,
    machine: Mutex<Machine>,
}

impl Gate {
    pub(crate) fn new(machine: Machine) -> Self {
        Self {
            word: AtomicU64::new(Word::of(&machine).0),
            refuse_before: AtomicU64::new(machine.refuse_before()),
            consecutive: AtomicU64::new(0),
            since: AtomicU64::new(machine.since()),
            opened: AtomicU64::new(0),
            version: AtomicU64::new(0),
            machine: Mutex::new(machine),
        }
    }

    #[inline]
    pub(crate) fn word(&self) -> Word {
        Word(self.word.load(Ordering::Acquire))
    }

    /// See [`Machine::refuse_before`]. Must be read after [`Gate::word`].
    #[inline]
    pub(crate) fn refuse_before(&self) -> Tick {
        self.refuse_before.load(Ordering::Acquire)
    }

    /// Returns whether a success changes only sums: its generation is current and there is no run
    /// of failures to end.
    ///
    /// This is one read of one word, so a concurrent failure comes before it or after it.
    #[inline]
    pub(crate) fn success_is_plain(&self, generation: u64) -> bool {
        let word = self.word();
        word.generation() == generation
            && !word.has_run()
            && matches!(word.mode(), Mode::Closed | Mode::Ramping | Mode::ForcedClosed | Mode::MetricsOnly)
    }

    /// Asks the machine to admit a call.
    pub(crate) fn admit(&self, now: Tick) -> (Admission, Option<Change>) {
        self.change(|machine| machine.admit(now))
    }

    /// Reports an outcome to the machine.
    pub(crate) fn report(
        &self,
        ticket: Ticket,
        report: Report,
        now: Tick,
        jitter: f64,
    ) -> (Recorded, Option<Change>) {
        match self.change(|machine| machine.report(ticket, report, now, jitter)) {
            Ok(change) => (Recorded::Counted, change),
            Err(Late) => (Recorded::Late, None),
        }
    }

    /// Runs `f` on the machine under the lock and publishes the changes.
    pub(crate) fn change<R>(&self, f: impl FnOnce(&mut Machine) -> R) -> R {
        let mut machine = self.machine.lock();
        let result = f(&mut machine);
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Release);
        self.refuse_before.store(machine.refuse_before(), Ordering::Release);
        self.consecutive.store(u64::from(machine.consecutive()), Ordering::Release);
        self.since.store(machine.since(), Ordering::Release);
        self.opened.store(machine.opened(), Ordering::Release);
        self.word.store(Word::of(&machine).0, Ordering::Release);
        self.version.store(version + 2, Ordering::Release);
        result
    }

    /// Returns the published words without a lock. A reader that meets a change reads again. After
    /// many changes in a row it accepts words of different moments and returns the last reading.
    pub(crate) fn snapshot(&self) -> Snapshot {
        (0..8).find_map(|_| self.snapshot_once().ok()).unwrap_or_else(|| self.read())
    }

    /// Returns the words of one moment, or those of several moments as the error. A reader of a
    /// word that was published after an odd version (release, acquire) then reads that version or a
    /// later one.
    pub(crate) fn snapshot_once(&self) -> Result<Snapshot, Snapshot> {
        let before = self.version.load(Ordering::Acquire);
        let snapshot = self.read();
        let after = self.version.load(Ordering::Relaxed);
        if before == after && before.is_multiple_of(2) { Ok(snapshot) } else { Err(snapshot) }
    }

    fn read(&self) -> Snapshot {
        let word = self.word();
        Snapshot {
            word,
            refuse_before: self.refuse_before(),
            consecutive: self.consecutive.load(Ordering::Acquire),
            since: self.since.load(Ordering::Acquire),
            opened: self.opened.load(Ordering::Acquire),
        }
    }
}
