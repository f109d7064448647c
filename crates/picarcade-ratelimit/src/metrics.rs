//! The statistics through the `metrics` facade. Labels are fixed words.

use metrics::{counter, describe_counter, describe_gauge, gauge};

use crate::{LimiterStatistics, Mode};

const DECISIONS: &str = "picarcade_limiter_decisions_total";
const MODE_CHANGES: &str = "picarcade_limiter_mode_changes_total";
const MODE: &str = "picarcade_limiter_mode";
const SUBJECTS: &str = "picarcade_limiter_subjects";
const OPEN_RESERVATIONS: &str = "picarcade_limiter_open_reservations";

/// Describes every series of this crate to the installed recorder. Does nothing without one.
pub fn describe_metrics() {
    describe_counter!(DECISIONS, "Decisions of the limiter");
    describe_counter!(MODE_CHANGES, "Changes between shared limits and limits of this instance");
    describe_gauge!(MODE, "1 for the mode in which the limiter decides now");
    describe_gauge!(SUBJECTS, "Subjects that the limiter counts in process");
    describe_gauge!(OPEN_RESERVATIONS, "Reservations in process that wait for their bill");
}

impl LimiterStatistics {
    /// Publishes these counts to the installed recorder. Does nothing without one. The README lists
    /// the series.
    pub fn publish_metrics(&self) {
        for (decision, count) in [
            ("admitted", self.admitted),
            ("denied", self.denied),
            ("failed", self.failed),
            ("local", self.local),
        ] {
            counter!(DECISIONS, "decision" => decision).absolute(count);
        }
        counter!(MODE_CHANGES).absolute(self.mode_changes);
        for mode in [Mode::Exact, Mode::Local] {
            let is_current = f64::from(u8::from(mode == self.mode));
            gauge!(MODE, "mode" => mode.as_str()).set(is_current);
        }
        gauge!(SUBJECTS).set(self.subjects as f64);
        gauge!(OPEN_RESERVATIONS).set(self.open_reservations as f64);
    }
}
