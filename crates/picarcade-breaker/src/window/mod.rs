//! The windows of the two rate policies: the recent calls, counted.
//!
//! Rates are judged when a failure or a slow call is recorded, never on a plain success: a success
//! cannot be the reason to open, and the most frequent outcome stays cheap. A run of successes that
//! brings the window to its minimum number of calls therefore opens nothing. The next failure does,
//! if the rate is still too high.

mod calls;
pub(crate) mod cell;
mod counts;
mod lanes;
mod rate;

pub use self::counts::WindowStatistics;
pub(crate) use self::{counts::Sample, rate::RateWindow};
// `cell.rs` imports its primitives from the parent module.
use crate::sync;

/// Tests of `cell.rs` are here, because the model checker compiles that file a second time.
#[cfg(test)]
mod tests {
    use super::cell::{Cell, MAX_TAG};

    #[test]
    fn a_cell_counts_per_tag_and_drops_older_counts() {
        let cell = Cell::new();
        cell.add(5);
        cell.add(5);
        assert_eq!((cell.read(5..=5), cell.read(0..=4), cell.read(6..=9)), (2, 0, 0));
        cell.add(9);
        assert_eq!((cell.read(5..=5), cell.read(9..=9)), (0, 1));
        cell.add(5);
        assert_eq!((cell.read(5..=5), cell.read(9..=9)), (0, 1), "a late count got into a newer moment");
    }

    #[test]
    fn a_cell_stays_at_its_bounds() {
        let cell = Cell::full(7);
        let full = cell.read(7..=7);
        cell.add(7);
        assert_eq!((cell.read(7..=7), cell.read(8..=8)), (full, 0));
        cell.add(MAX_TAG + 1);
        assert_eq!(cell.read(7..=7), full);
    }
}
