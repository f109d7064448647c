//! The results as Markdown, for copying into the documents.

use crate::drive::Seen;

/// The head of the table.
pub(crate) fn head() {
    println!(
        "| run | requests | errors | a second | p50 ms | p90 ms | p99 ms | p99.9 ms | longest ms | CPU cores | MiB before, after |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
}

/// One row.
pub(crate) fn row(name: &str, seen: &Seen) {
    let at = |share: f64| {
        let index = (seen.latencies.len() as f64 * share) as usize;
        let micros = seen.latencies.get(index).or(seen.latencies.last()).copied().unwrap_or_default();
        f64::from(micros) / 1e3
    };
    println!(
        "| {name} | {} | {} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:.1} | {:.2} | {:.0}, {:.0} |",
        seen.latencies.len(),
        seen.errors,
        seen.latencies.len() as f64 / seen.seconds,
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0),
        (seen.after.cpu_seconds - seen.before.cpu_seconds) / seen.seconds,
        seen.before.memory_mib,
        seen.after.memory_mib,
    );
}
