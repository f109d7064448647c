//! Shared code of the benches: contenders that take turns.

use std::time::{Duration, Instant};

/// A name, and the work of one round, which returns the time of one call.
pub type Rival<'a> = (&'a str, Box<dyn FnMut() -> Duration + 'a>);

/// Runs the rounds of all contenders in turn, so that disturbances of the machine affect all of
/// them. Prints the distribution and returns the medians. The first contender is the reference. The
/// first tenth of the rounds is not counted.
pub fn in_turn(group: &str, rounds: usize, rivals: &mut [Rival<'_>]) -> Vec<Duration> {
    let mut spent = vec![Vec::with_capacity(rounds); rivals.len()];
    for round in 0..rounds + rounds / 10 {
        for ((_, work), spent) in rivals.iter_mut().zip(&mut spent) {
            let took = work();
            if round >= rounds / 10 {
                spent.push(took);
            }
        }
    }
    let mut medians: Vec<Duration> = Vec::new();
    for ((name, _), spent) in rivals.iter().zip(&mut spent) {
        spent.sort_unstable();
        let at = |percent: usize| spent.get(rounds * percent / 100).copied().unwrap_or_default();
        let first = medians.first().copied().unwrap_or(at(50));
        let ratio = at(50).as_secs_f64() / first.as_secs_f64();
        println!("{group}/{name}: median {:?}, p10 {:?}, p90 {:?}; {ratio:.2}", at(50), at(10), at(90));
        medians.push(at(50));
    }
    medians
}

/// Returns the time of one call, measured over all calls together.
pub fn each(calls: u32, work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed() / calls
}

/// Returns whether a bench with this name is selected, for benches without criterion: no filter, or
/// one that names it.
pub fn is_wanted(name: &str) -> bool {
    let mut filters =
        std::env::args().skip(1).filter(|argument| argument.starts_with(char::is_alphabetic)).peekable();
    filters.peek().is_none() || filters.any(|filter| name.contains(&filter) || filter.contains(name))
}
