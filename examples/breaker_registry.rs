//! A registry of breakers with presets, an override by hand, and a status print.
//!
//! Run it with `cargo run -p picarcade-examples --example breaker_registry`.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::time::Duration;

use picarcade_breaker::{Config, FailureKind, Outcome, Registry, SlowCalls, WindowSize, http::Exchange};

fn print_status(registry: &Registry) {
    println!(
        "{:<12} {:<12} {:>7} {:>7} {:>8}  last failure",
        "breaker", "state", "success", "failure", "rejected"
    );
    for reading in registry.statistics() {
        println!(
            "{:<12} {:<12} {:>7} {:>7} {:>8}  {}",
            reading.name,
            reading.state,
            reading.success,
            reading.failure,
            reading.rejected,
            reading.last_failure.map_or("-", FailureKind::as_str),
        );
    }
    println!();
}

fn main() -> anyhow::Result<()> {
    let registry = Registry::new();
    // Known providers get presets on first use; this one is configured.
    registry.with_config(
        "search",
        Config::default()
            .failure_rate(0.5)
            .slow_calls(SlowCalls { longer_than: Duration::from_secs(2), rate: 0.8 })
            .window(WindowSize::Calls(50))
            .minimum_calls(10),
    )?;
    for name in ["anthropic", "openai", "replicate", "runway"] {
        let breaker = registry.breaker(name);
        breaker.try_acquire()?.success();
    }
    print_status(&registry);

    // The preset of OpenAI opens after three failures in a row. A mistake of the caller does not
    // count.
    let openai = registry.breaker("openai");
    for status in [400, 529, 422, 503, 504] {
        openai.try_acquire()?.record(Exchange::status(status).outcome());
    }
    let Err(rejected) = openai.try_acquire() else { anyhow::bail!("three failures in a row did not open") };
    println!("{rejected}\n");

    // An operator opens a breaker by hand, and no timer closes it.
    if let Some(breaker) = registry.find("replicate") {
        breaker.force_open();
    }
    registry.breaker("runway").try_acquire()?.record(Outcome::failure(FailureKind::Timeout));
    print_status(&registry);
    println!("{}", serde_json::to_string_pretty(&openai.statistics())?);
    Ok(())
}
