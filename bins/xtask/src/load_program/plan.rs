//! The runs, from the command line.

use std::time::Duration;

use anyhow::{Context, Result, bail};

const USAGE: &str = "expected [--seconds N] [--users N] [--rate N] [--ai-ms N] [--fleet]";

#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// The duration of each run.
    pub(crate) run: Duration,
    /// The number of concurrent users in the closed loop.
    pub(crate) users: usize,
    /// The number of requests per second in the open loop.
    pub(crate) rate: u32,
    /// How long the mock AI takes per answer.
    pub(crate) ai: Duration,
    /// Uses Redis and PostgreSQL instead of the embedded stores.
    pub(crate) fleet: bool,
}

impl Plan {
    /// Parses the arguments. The defaults are the values that the documents quote.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut plan =
            Self { run: Duration::from_secs(60), users: 100, rate: 2_000, ai: Duration::ZERO, fleet: false };
        while let Some(name) = arguments.next() {
            if name == "--fleet" {
                plan.fleet = true;
                continue;
            }
            let value = arguments.next().with_context(|| format!("{name} wants a value: {USAGE}"))?;
            let number: u32 = value.parse().with_context(|| format!("{name} {value}: {USAGE}"))?;
            match name.as_str() {
                "--seconds" => plan.run = Duration::from_secs(number.max(1).into()),
                "--users" => plan.users = number.max(1) as usize,
                "--rate" => plan.rate = number.max(1),
                "--ai-ms" => plan.ai = Duration::from_millis(number.into()),
                _ => bail!("unknown argument {name}: {USAGE}"),
            }
        }
        Ok(plan)
    }
}
