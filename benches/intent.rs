//! The cost of a request from words to a model, without an AI.
//!
//! `locally` is the whole offline decision: instructions removed, goals found, type chosen,
//! reasoning written. `decide` is the matrix alone. No code here does I/O, so one thread is
//! representative.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use picarcade_intent::{
    Catalogue, Classifier, Facts, Goal, Matrix, Media, Prompt, PromptType, Request, RouteNeeds, enhance,
};

/// 100 characters, as people write them.
const USUAL: &str =
    "please make the sky behind the old lighthouse a deep purple and let the waves look a lot more stormy";

fn request(prompt: impl Into<String>) -> Request {
    let facts = Facts { active_image: true, referenced_image: true, ..Facts::default() };
    Request { prompt: Prompt::new(prompt).expect("a prompt"), facts, media: Media::default() }
}

fn decisions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("intent");
    let classifier = Classifier::new(Matrix::embedded());
    for (name, prompt) in [
        ("100 characters", USUAL.to_owned()),
        (
            "100 characters of Japanese",
            "古い灯台の後ろの空を深い紫色にして".repeat(6).chars().take(100).collect(),
        ),
        ("8,000 characters", USUAL.repeat(80)),
    ] {
        let request = request(prompt);
        group.bench_with_input(BenchmarkId::new("locally", name), &request, |bencher, request| {
            bencher.iter(|| classifier.classify_locally(black_box(request)));
        });
    }
    let matrix = Matrix::embedded();
    group.bench_function("decide", |bencher| {
        bencher.iter(|| matrix.decide(black_box(Goal::Edit), black_box(Facts::from_bits(3))).prompt_type);
    });
    group.finish();
}

fn completions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("intent");
    let catalogue = Catalogue::embedded();
    let request = request("give her @hat and @scarf");
    group.bench_function("route and parameters", |bencher| {
        bencher.iter(|| {
            let needs = RouteNeeds { reference_count: request.reference_count(), audio: false };
            let route = catalogue.route(PromptType::EditImageRef, "runway_gen4_image", needs, &|_| true);
            let base = catalogue.base_parameters(&route.model, PromptType::EditImageRef);
            catalogue.complete_parameters(base, PromptType::EditImageRef, &request, "better", &route.model)
        });
    });
    group.bench_function("enhance", |bencher| {
        bencher.iter(|| enhance(PromptType::EditImageRef, black_box(&request), false));
    });
    group.finish();
}

criterion_group!(benches, decisions, completions);
criterion_main!(benches);
