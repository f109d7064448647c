//! The validation of a configuration when a breaker is created.
//!
//! A threshold of zero, or a window that cannot contain its minimum of calls, makes a breaker that
//! opens at once or never. Such mistakes are often found in production, during an outage. They are
//! therefore errors here, and the error names the field.

use std::time::Duration;

use crate::{Config, ConfigError, SlowCalls, WindowSize};

const DAY: Duration = Duration::from_secs(86400);
const MILLISECOND: Duration = Duration::from_millis(1);

pub(crate) fn validate(config: &Config) -> Result<(), ConfigError> {
    not_zero("failure_threshold", config.failure_threshold == 0)?;
    not_zero("success_threshold", config.success_threshold == 0)?;
    not_zero("probes", config.probes == 0)?;
    not_zero("minimum_calls", config.minimum_calls == 0)?;
    within("probes", config.probes <= 1024, "at most 1024")?;
    span("open_for", config.open_for)?;
    span("probe_deadline", config.probe_deadline)?;
    config.hung_after.map_or(Ok(()), |time| span("hung_after", time))?;
    within("retry_after_max", config.retry_after_max <= DAY, "at most 24 hours")?;
    within("event_capacity", (1..=65_536).contains(&config.event_capacity), "between 1 and 65536")?;

    within("backoff.factor", (1.0..=10.0).contains(&config.backoff.factor), "between 1 and 10")?;
    within("backoff.jitter", (0.0..=1.0).contains(&config.backoff.jitter), "between 0 and 1")?;
    within("backoff.max", config.backoff.max <= DAY, "at most 24 hours")?;

    match config.window {
        WindowSize::Calls(calls) => {
            not_zero("window", calls == 0)?;
            within("window", calls <= 1_000_000, "at most 1000000 calls")?;
        }
        WindowSize::Time(time) => within(
            "window",
            (Duration::from_millis(16)..=DAY).contains(&time),
            "between 16 milliseconds and 24 hours",
        )?,
    }
    if let Some(rate) = config.failure_rate {
        share("failure_rate", rate)?;
    }
    if let Some(SlowCalls { longer_than, rate }) = config.slow_calls {
        not_zero("slow_calls.longer_than", longer_than.is_zero())?;
        share("slow_calls.rate", rate)?;
    }
    if let Some(ramp) = config.ramp {
        span("ramp.over", ramp.over)?;
        within("ramp.from", ramp.from > 0.0 && ramp.from < 1.0, "between 0 and 1, both excluded")?;
    }
    policies(config)
}

/// Checks the policies together: at least one exists, and the window can contain its minimum.
fn policies(config: &Config) -> Result<(), ConfigError> {
    let rates = config.failure_rate.is_some() || config.slow_calls.is_some();
    if !rates && config.failure_threshold == Config::NEVER {
        return Err(ConfigError::Contradiction {
            field: "failure_threshold",
            other: "failure_rate",
            reason: "every policy is switched off, so the breaker would never open",
        });
    }
    if let WindowSize::Calls(calls) = config.window
        && rates
        && calls < config.minimum_calls
    {
        return Err(ConfigError::Contradiction {
            field: "window",
            other: "minimum_calls",
            reason: "the window never contains that many calls, so no rate would ever be judged",
        });
    }
    Ok(())
}

pub(crate) fn not_zero(field: &'static str, is_zero: bool) -> Result<(), ConfigError> {
    if is_zero { Err(ConfigError::Zero { field }) } else { Ok(()) }
}

fn span(field: &'static str, value: Duration) -> Result<(), ConfigError> {
    not_zero(field, value.is_zero())?;
    within(field, (MILLISECOND..=DAY).contains(&value), "between 1 millisecond and 24 hours")
}

/// Checks a share of a whole. NaN is outside of every range.
fn share(field: &'static str, value: f64) -> Result<(), ConfigError> {
    within(field, value > 0.0 && value <= 1.0, "above 0 and at most 1")
}

pub(crate) fn within(field: &'static str, holds: bool, expected: &'static str) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError::OutOfRange { field, expected }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Backoff, Ramp};

    fn field(config: &Config) -> Option<&'static str> {
        validate(config).expect_err("a bad configuration passed").field()
    }

    #[test]
    fn defaults_and_presets_are_valid() {
        for name in ["anthropic", "openai", "replicate", "runway", "whatever"] {
            assert_eq!(validate(&Config::preset(name)), Ok(()));
        }
    }

    #[test]
    fn each_invalid_field_is_named() {
        let good = Config::default;
        let slow = |millis, rate| SlowCalls { longer_than: Duration::from_millis(millis), rate };
        let zero = Duration::ZERO;
        for (expected, config) in [
            ("failure_threshold", good().failure_threshold(0)),
            ("failure_threshold", good().failure_threshold(Config::NEVER)),
            ("success_threshold", good().success_threshold(0)),
            ("probes", good().probes(0)),
            ("probes", good().probes(1025)),
            ("probe_deadline", good().probe_deadline(zero)),
            ("hung_after", good().hung_after(zero)),
            ("hung_after", good().hung_after(DAY * 2)),
            ("open_for", good().open_for(zero)),
            ("open_for", good().open_for(DAY + MILLISECOND)),
            ("minimum_calls", good().minimum_calls(0)),
            ("retry_after_max", good().retry_after_max(DAY * 2)),
            ("event_capacity", good().event_capacity(0)),
            ("backoff.factor", good().backoff(Backoff { factor: 0.5, ..Backoff::default() })),
            ("backoff.factor", good().backoff(Backoff { factor: f64::NAN, ..Backoff::default() })),
            ("backoff.jitter", good().backoff(Backoff { jitter: 1.5, ..Backoff::default() })),
            ("backoff.max", good().backoff(Backoff { max: DAY * 2, ..Backoff::default() })),
            ("window", good().window(WindowSize::Calls(0))),
            ("window", good().window(WindowSize::Time(zero))),
            ("window", good().window(WindowSize::Time(MILLISECOND))),
            ("window", good().window(WindowSize::Calls(9)).minimum_calls(10).failure_rate(0.5)),
            ("failure_rate", good().failure_rate(0.0)),
            ("failure_rate", good().failure_rate(1.1)),
            ("failure_rate", good().failure_rate(f64::NAN)),
            ("slow_calls.longer_than", good().slow_calls(slow(0, 0.5))),
            ("slow_calls.rate", good().slow_calls(slow(1, 0.0))),
            ("ramp.over", good().ramp(Ramp { over: zero, from: 0.1 })),
            ("ramp.from", good().ramp(Ramp { over: MILLISECOND, from: 1.0 })),
        ] {
            assert_eq!(field(&config), Some(expected), "{config:?}");
        }
    }

    #[test]
    fn a_small_window_is_valid_if_no_rate_uses_it() {
        assert_eq!(validate(&Config::default().window(WindowSize::Calls(1))), Ok(()));
    }
}
