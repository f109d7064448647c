//! One limit in ten lines: requests per minute and user, and when to retry. With `smooth`, one
//! request may come at once, and the others are spread over the minute.
//!
//! `cargo run -p picarcade-examples --example limit_requests [smooth]`
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::time::Duration;

use picarcade_ratelimit::{Decision, Demand, Limit, Limiter, Scope, Subjects, Window, headers};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let period = Duration::from_mins(1);
    let window = match std::env::args().nth(1).as_deref() {
        Some("smooth") => Window::Smooth { period, burst: 1 },
        _ => Window::Sliding(period),
    };
    let limiter = Limiter::builder().limit(Limit::requests(Scope::User, 3, window)).build()?;
    let ada = Subjects::default().user("ada");
    for _ in 0..5 {
        match limiter.acquire(&ada, Demand::requests(1)).await? {
            Decision::Admitted(admission) => {
                println!("200  RateLimit: {}", headers::limit(&admission.report))
            }
            Decision::Denied(denial) => println!("429  Retry-After: {}", headers::retry_after(&denial)),
        }
    }
    Ok(())
}
