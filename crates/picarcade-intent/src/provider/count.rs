//! Token counts as gateways write them.

use serde_json::Value;

/// The largest count that is believed: beyond it, JSON numbers are not exact.
const MAX_COUNT: u64 = 1 << 53;

/// Reads a count that is a number, whole or not, or a number as text.
///
/// Returns `None` for a count that cannot be one: negative, not a number, or above 2^53.
pub(super) fn count(value: &Value) -> Option<u64> {
    let number = match value {
        Value::Number(number) => match number.as_u64() {
            Some(whole) => return (whole <= MAX_COUNT).then_some(whole),
            None => number.as_f64()?,
        },
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    #[expect(clippy::cast_precision_loss, reason = "a power of two is exact")]
    let is_count = (0.0..=MAX_COUNT as f64).contains(&number);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within the range")]
    is_count.then(|| number.ceil() as u64)
}

/// Reads a count that may be absent, which means zero.
pub(super) fn optional(value: &Value) -> Option<u64> {
    if value.is_null() { Some(0) } else { count(value) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn counts_are_read_in_every_notation() {
        for (value, expected) in [
            (json!(900), 900),
            (json!(900.0), 900),
            (json!(9e2), 900),
            (json!("900"), 900),
            (json!(" 900.0 "), 900),
            (json!("9e2"), 900),
            (json!(899.5), 900),
            (json!(0), 0),
            (json!(-0.0), 0),
            (json!(MAX_COUNT), MAX_COUNT),
        ] {
            assert_eq!(count(&value), Some(expected), "{value}");
        }
    }

    #[test]
    fn impossible_counts_are_unknown() {
        for value in [
            json!(-1),
            json!(-0.5),
            json!("-900"),
            json!("NaN"),
            json!("inf"),
            json!("1e999"),
            json!(1e300),
            json!(u64::MAX),
            json!("many"),
            json!(""),
            json!(true),
            json!([900]),
            json!(null),
        ] {
            assert_eq!(count(&value), None, "{value}");
        }
        assert_eq!((optional(&json!(null)), optional(&json!(-1))), (Some(0), None));
    }
}
