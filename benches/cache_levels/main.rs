//! The cost of each level of the cache, next to its peers in the same run.
//!
//! `cargo bench -p picarcade-benches --bench cache_levels`. Servers, keys and values are created
//! outside of the loops. Each group answers one question: `hit` (a ready key in memory),
//! `key_and_hit` (a key from its parts, then memory), `second_level` (one at a time, and 64 tasks),
//! `levels` (Zipf keys over no cache, one level, the other, both; cold and warm), `contended` (two
//! threads on one key, on many, and on Zipf keys of which a fifth fits), `growth` (hits among ten
//! keys and among ten million). Hit rates are printed next to the times.

#![allow(missing_docs, clippy::unwrap_used)]

mod contended;
mod growth;
mod hit;
mod levels;
mod second_level;
mod set_up;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

use self::{
    contended::{contended, contended_zipf},
    growth::{growth_in_memory, growth_in_redis},
    hit::{hit, key_and_hit},
    levels::levels,
    second_level::second_level,
};

fn settings() -> Criterion {
    Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}

criterion_group! {
    name = benches;
    config = settings();
    targets = hit, key_and_hit, second_level, levels, contended, contended_zipf, growth_in_memory, growth_in_redis
}
criterion_main!(benches);
