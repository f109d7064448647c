//! Dollars: reserve the estimated cost before a call, settle the actual cost, and see the budget
//! hold.
//!
//! `cargo run -p picarcade-examples --example limit_dollars`
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::time::Duration;

use picarcade_ratelimit::{Decision, Demand, Limit, Limiter, Scope, Subjects, Window, micros};

/// A provider that is cheaper than its estimate, fails before it bills, or never answers.
fn provider(call: u32) -> Option<Result<f64, &'static str>> {
    match call % 4 {
        0 | 1 => Some(Ok(0.012)),
        2 => Some(Err("refused before it was billed")),
        _ => None,
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let hour = Window::Sliding(Duration::from_hours(1));
    let budget = micros("budget", 0.10)?;
    let limiter = Limiter::builder()
        .limit(Limit::cost(Scope::User, budget, hour))
        .limit(Limit::cost(Scope::Global, 500 * budget, Window::UtcDay))
        .build()?;
    let ada = Subjects::default().user("ada");
    let estimate = micros("estimate", 0.02)?;

    for call in 0..20 {
        let mut reservation = match limiter.acquire(&ada, Demand::cost_micros(estimate)).await? {
            Decision::Admitted(admission) => admission.reservation,
            Decision::Denied(denial) => {
                println!(
                    "call {call}: over {}, come back in {:?}",
                    denial.violated[0].name, denial.retry_after
                );
                break;
            }
        };
        // From here on the provider may bill, whatever happens to this process.
        reservation.dispatched();
        match provider(call) {
            Some(Ok(dollars)) => {
                let settled = reservation.settle(micros("cost", dollars)?).await?;
                println!("call {call}: settled at {} micro-dollars", settled.charged_micros);
            }
            Some(Err(reason)) => {
                reservation.release().await?;
                println!("call {call}: released, {reason}");
            }
            None => println!("call {call}: no answer, the estimate stays charged"),
        }
    }
    for status in limiter.usage(&ada).await?.statuses {
        println!(
            "{}: {} of {} used, {} of it reserved",
            status.name, status.used, status.limit, status.reserved
        );
    }
    Ok(())
}
