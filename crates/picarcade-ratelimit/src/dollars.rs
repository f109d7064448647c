//! The only conversion between dollars, as people and JSON write them, and micro-dollars, as this
//! crate counts them.
//!
//! Amounts are rounded up once, here, so a price is never counted below its value. Above 2^53
//! micro-dollars (about nine billion dollars) doubles are not exact, and neither is a script that
//! computes in doubles. Such amounts are errors, like negative and infinite amounts and NaN.

use crate::Error;

/// The largest amount of a limit, an estimate or a settlement, in micro-dollars or requests: 2^53.
pub const MAX_AMOUNT: u64 = 1 << 53;

/// An amount of dollars.
///
/// ```
/// use picarcade_ratelimit::Dollars;
/// assert_eq!(Dollars::from_f64("cost", 0.02).unwrap().micros(), 20_000);
/// let error = Dollars::from_f64("cost", f64::NAN).unwrap_err();
/// assert_eq!(error.to_string(), "cost is not a number");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Dollars {
    micros: u64,
}

impl Dollars {
    /// Converts `dollars`, rounding up to the next whole micro-dollar.
    ///
    /// A product such as `0.1 * 3.0` lies slightly above its decimal value as a double. Such an
    /// error is not rounded up: an amount within a millionth of a micro-dollar (or within the
    /// resolution of a double) of a whole micro-dollar is that micro-dollar. An amount above zero
    /// is at least one micro-dollar.
    ///
    /// # Errors
    /// [`Error::Invalid`] with `field` for NaN, a negative amount, and more than [`MAX_AMOUNT`].
    pub fn from_f64(field: &'static str, dollars: f64) -> Result<Self, Error> {
        if dollars.is_nan() {
            return Err(Error::Invalid { field, reason: "is not a number" });
        }
        if dollars < 0.0 {
            return Err(Error::Invalid { field, reason: "is negative" });
        }
        let exact = dollars * 1e6;
        let near = exact.round();
        let slack = (exact * f64::EPSILON * 2.0).max(1e-6);
        let micros = if (exact - near).abs() <= slack { near } else { exact.ceil() };
        if micros > MAX_AMOUNT as f64 {
            return Err(Error::Invalid { field, reason: "is more than 2^53 micro-dollars" });
        }
        // Zero means "nothing to count" for a reservation and "no limit" in a configuration.
        let micros = if dollars > 0.0 { micros.max(1.0) } else { micros };
        Ok(Self { micros: micros as u64 })
    }

    /// Returns the amount in micro-dollars, at most [`MAX_AMOUNT`].
    #[must_use]
    pub fn micros(self) -> u64 {
        self.micros
    }

    /// Returns the amount in dollars, for display.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        self.micros as f64 / 1e6
    }
}

/// Returns `amount` if it can be counted exactly.
pub(crate) fn checked(field: &'static str, amount: u64) -> Result<u64, Error> {
    if amount > MAX_AMOUNT {
        return Err(Error::Invalid { field, reason: "is more than 2^53" });
    }
    Ok(amount)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(dollars: f64) -> Result<u64, Error> {
        Dollars::from_f64("dollars", dollars).map(Dollars::micros)
    }

    #[test]
    fn whole_micro_dollars_are_kept_and_fractions_are_rounded_up() {
        for (dollars, expected) in
            [(0.0, 0), (0.02, 20_000), (50.0, 50_000_000), (0.000_000_1, 1), (1.000_000_2, 1_000_001)]
        {
            assert_eq!(micros(dollars), Ok(expected), "{dollars}");
        }
        assert_eq!(micros(0.1 * 3.0), Ok(300_000));
        assert_eq!(micros(-0.0), Ok(0));
        for tiny in [1e-7, 1e-12, 1e-13, f64::MIN_POSITIVE, f64::from_bits(1)] {
            assert_eq!(micros(tiny), Ok(1), "{tiny}");
        }
    }

    #[test]
    fn an_invalid_amount_is_rejected_with_its_reason() {
        for (dollars, reason) in [
            (f64::NAN, "cost is not a number"),
            (-0.01, "cost is negative"),
            (f64::NEG_INFINITY, "cost is negative"),
            (f64::INFINITY, "cost is more than 2^53 micro-dollars"),
            (9_007_199_255.0, "cost is more than 2^53 micro-dollars"),
        ] {
            assert_eq!(Dollars::from_f64("cost", dollars).unwrap_err().to_string(), reason);
        }
        assert!(Dollars::from_f64("cost", 9_007_199_254.0).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn cents_converted_through_a_double_are_exact(cents in 0_u64..10_000_000_000) {
            let dollars = cents as f64 / 100.0;
            proptest::prop_assert_eq!(micros(dollars), Ok(cents * 10_000));
        }
    }
}
