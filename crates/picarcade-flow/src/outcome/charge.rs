//! The charge of a paid call or a generation.
//!
//! Every amount that reaches the dollar limits and the database passes through [`charge`]: of a
//! usable answer, an unusable one, an error, a call that was ended, a reported outcome. A single
//! absurd bill must not close the budget of all users, and a provider that reports no usage must
//! not disable it.
//!
//! # Bounds
//!
//! An estimate is an upper bound of the cost of the work. A bill above [`MAX_FACTOR`] times the
//! estimate is a mistake and is charged at that bound. A bill below one [`MIN_DIVISOR`]th of the
//! estimate, for work that was done, is a mistake too and is charged at the estimate: the
//! instructions of a call alone cost more than a thousandth of it. Both are flagged, so that an
//! operator can find them.

use serde::{Deserialize, Serialize};

/// The largest multiple of the estimate that is charged.
const MAX_FACTOR: u64 = 20;

/// The smallest fraction of the estimate, as a divisor, that is charged for finished work.
const MIN_DIVISOR: u64 = 1000;

/// The largest amount, in micro-dollars: the `CHECK` constraints of the database. The limits take
/// up to 2^53, which is more.
pub(crate) const MAX_MICROS: u64 = 1_000_000_000_000_000;

/// What is known about the price of some work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bill {
    /// The work was done and cost this much.
    Done(u64),
    /// The work failed and cost this much, which may be nothing.
    Failed(u64),
    /// The work may have been billed, and the amount is not known.
    Unknown,
    /// The work was certainly not billed.
    Free,
}

/// Why a bill was not charged as stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CostFlag {
    /// The bill was more than twenty times the estimate and is charged at that bound.
    TooHigh,
    /// The bill was less than a thousandth of the estimate although the work was done. It is
    /// charged at the estimate.
    TooLow,
}

impl CostFlag {
    /// Returns the word that is stored in `error_message`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooHigh => "cost_too_high",
            Self::TooLow => "cost_too_low",
        }
    }
}

/// An amount to charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Charge {
    /// At most [`MAX_MICROS`].
    pub(crate) micros: u64,
    pub(crate) flag: Option<CostFlag>,
}

/// Returns the charge of a bill, given the estimate in micro-dollars.
pub(crate) fn charge(bill: Bill, estimate_micros: u64) -> Charge {
    let estimate = bounded(estimate_micros);
    let most = bounded(estimate.saturating_mul(MAX_FACTOR));
    let as_stated = |micros| Charge { micros, flag: None };
    match bill {
        Bill::Free => as_stated(0),
        Bill::Unknown => as_stated(estimate),
        Bill::Done(micros) | Bill::Failed(micros) if micros > most => {
            Charge { micros: most, flag: Some(CostFlag::TooHigh) }
        }
        Bill::Done(micros) if micros.saturating_mul(MIN_DIVISOR) < estimate => {
            Charge { micros: estimate, flag: Some(CostFlag::TooLow) }
        }
        Bill::Done(micros) | Bill::Failed(micros) => as_stated(micros),
    }
}

/// Returns the amount, or the largest one that the database accepts.
pub(crate) fn bounded(micros: u64) -> u64 {
    micros.min(MAX_MICROS)
}

/// Returns US dollars as micro-dollars. A number that is no amount (negative, infinite, NaN)
/// becomes the nearest bound.
pub(crate) fn micros(dollars: f64) -> u64 {
    // The cast saturates and maps NaN to zero.
    bounded((dollars * 1e6).round() as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bill_is_charged_as_stated_between_a_thousandth_and_twenty_times_the_estimate() {
        let of = |bill| {
            let Charge { micros, flag } = charge(bill, 10_000);
            (micros, flag)
        };
        assert_eq!(of(Bill::Done(200_000)), (200_000, None));
        assert_eq!(of(Bill::Done(200_001)), (200_000, Some(CostFlag::TooHigh)));
        assert_eq!(of(Bill::Failed(u64::MAX)), (200_000, Some(CostFlag::TooHigh)));
        assert_eq!(of(Bill::Done(10)), (10, None));
        assert_eq!(of(Bill::Done(9)), (10_000, Some(CostFlag::TooLow)));
        assert_eq!(of(Bill::Done(0)), (10_000, Some(CostFlag::TooLow)));
        assert_eq!(of(Bill::Failed(0)), (0, None));
        assert_eq!(of(Bill::Unknown), (10_000, None));
        assert_eq!(of(Bill::Free), (0, None));
    }

    #[test]
    fn work_with_an_estimate_of_zero_is_free() {
        assert_eq!(charge(Bill::Done(0), 0), Charge { micros: 0, flag: None });
        assert_eq!(charge(Bill::Done(5), 0), Charge { micros: 0, flag: Some(CostFlag::TooHigh) });
    }

    #[test]
    fn a_number_that_is_no_amount_becomes_the_nearest_bound() {
        assert_eq!(micros(0.03), 30_000);
        for (dollars, expected) in [
            (f64::NAN, 0),
            (-1.0, 0),
            (f64::NEG_INFINITY, 0),
            (f64::INFINITY, MAX_MICROS),
            (f64::MAX, MAX_MICROS),
            (9_007_199_254.740_993, MAX_MICROS),
        ] {
            assert_eq!(micros(dollars), expected, "{dollars}");
        }
    }

    fn bills() -> impl Strategy<Value = Bill> {
        let amount = || prop_oneof![any::<u64>(), 0..50_000_u64, Just(0), Just(u64::MAX), Just(1 << 53)];
        prop_oneof![
            amount().prop_map(Bill::Done),
            amount().prop_map(Bill::Failed),
            Just(Bill::Unknown),
            Just(Bill::Free),
        ]
    }

    proptest! {
        #[test]
        fn no_charge_exceeds_its_bounds(bill in bills(), estimate in any::<u64>()) {
            let charge = charge(bill, estimate);
            prop_assert!(charge.micros <= MAX_MICROS);
            prop_assert!(u128::from(charge.micros) <= u128::from(estimate) * u128::from(MAX_FACTOR));
        }

        #[test]
        fn finished_work_with_a_price_is_never_free(micros in any::<u64>(), estimate in 1..=u64::MAX) {
            prop_assert!(charge(Bill::Done(micros), estimate).micros > 0);
            prop_assert!(charge(Bill::Unknown, estimate).micros > 0);
        }

        #[test]
        fn a_charge_differs_from_the_bill_only_if_it_is_flagged(micros in any::<u64>(), estimate in any::<u64>()) {
            for bill in [Bill::Done(micros), Bill::Failed(micros)] {
                let charge = charge(bill, estimate);
                prop_assert_eq!(charge.flag.is_none(), charge.micros == micros);
            }
        }

        #[test]
        fn any_number_of_dollars_is_bounded(dollars in any::<f64>()) {
            prop_assert!(micros(dollars) <= MAX_MICROS);
        }
    }
}
