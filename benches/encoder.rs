//! The cost of the second stage of the local classifier, on one core.
//!
//! The weights are `bins/picarcade/data/encoder-1.bin`. Without that file there is nothing to
//! measure.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use picarcade_intent::Facts;
use picarcade_intent::local::Encoder;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../bins/picarcade/data/encoder-1.bin");

const USUAL: &str =
    "please make the sky behind the old lighthouse a deep purple and let the waves look a lot more stormy";

fn encoder(criterion: &mut Criterion) {
    let Ok(file) = std::fs::read(FILE) else {
        println!("{FILE} does not exist");
        return;
    };
    let file: &'static [u8] = file.leak();
    let mut group = criterion.benchmark_group("encoder");
    group.bench_function("parse", |bencher| bencher.iter(|| Encoder::parse(black_box(file))));
    let encoder = Encoder::parse(file).expect("a valid file");
    let facts = Facts { active_image: true, ..Facts::default() };
    for prompt in ["make the sky purple".to_owned(), USUAL.to_owned(), USUAL.repeat(3), USUAL.repeat(80)] {
        let tokens = encoder.tokens(&prompt).len();
        group.bench_with_input(BenchmarkId::new("goals, tokens", tokens), &prompt, |bencher, prompt| {
            bencher.iter(|| encoder.goals(black_box(prompt), facts));
        });
    }
    for (script, prompt) in [
        ("Latin", USUAL.repeat(80).chars().take(8_000).collect::<String>()),
        ("Japanese", "古い灯台の後ろの空を深い紫色にして".chars().cycle().take(8_000).collect()),
    ] {
        group.bench_with_input(
            BenchmarkId::new("tokens of 8,000 characters", script),
            &prompt,
            |bencher, prompt| {
                bencher.iter(|| encoder.tokens(black_box(prompt)));
            },
        );
    }
    group.finish();
}

criterion_group!(benches, encoder);
criterion_main!(benches);
