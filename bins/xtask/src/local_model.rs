//! Trains and evaluates the model of the local classifier; run by `cargo xtask train` and `cargo
//! xtask eval`.
//!
//! It is a separate program behind a feature, because it needs `picarcade-intent` and an optimized
//! build, and the other commands need neither. `train FILE [LABELED…]` writes the linear model.
//! `eval` judges the shipped models and prints the tables that `docs/evaluation.md` shows. `try
//! FILE SET…` judges a file of the linear model or of the encoder on sets of prompts and lists the
//! errors; use it for work on the corpus, with sets that no figure is quoted from.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what a command line is for")]

use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use picarcade_intent::evaluation::{evaluate, read_labeled, report};
use picarcade_intent::local::Encoder;
use picarcade_intent::local::train::{Corpus, LabeledPrompts, classifier_text, examples, train};
use picarcade_intent::{Classifier, Facts, LocalClassifier, Matrix, Prompt};
use serde_json::Value;

/// The generated examples per language and sense that the encoder is trained on.
const ENCODER_EXAMPLES: usize = 300;
const ENCODER_SEED: u64 = 11;

/// Prompts of about a hundred characters, for measuring the speed.
const TIMED: [(&str, &str); 3] = [
    (
        "English",
        "remove the moving truck and the people behind her, then brighten up the sky a little and crop it, ok",
    ),
    (
        "Russian",
        "убери грузовик и людей на заднем плане, потом сделай небо чуть светлее и обрежь фото до квадрата, ок",
    ),
    (
        "Chinese",
        "请把背景里的卡车和路人都去掉，然后让天空变得更亮一些，再把照片裁成正方形，最后给她换一件红色的外套，头发也要\
         长一点，其他地方都不要动，谢谢你，今天晚上之前给我就可以了，我要发给客户看看效果怎么样",
    ),
];

fn main() -> Result<(), Box<dyn Error>> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/picarcade-intent");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["train", file, labeled @ ..] => write_model(&home, Path::new(file), labeled),
        ["eval"] => {
            let sets = ["judge-test.csv", "judge-dev.csv"].map(|name| home.join("corpus").join(name));
            print_evaluation(&sets)
        }
        ["eval", files @ ..] => print_evaluation(&files.iter().map(PathBuf::from).collect::<Vec<_>>()),
        ["try", file, sets @ ..] => list_errors(Path::new(file), sets),
        ["examples", file] => write_examples(&home, Path::new(file)),
        ["normalize", from, to] => write_normalized(Path::new(from), Path::new(to)),
        _ => {
            Err("expected train FILE [LABELED…], eval, try FILE SET…, examples FILE, or normalize FROM TO"
                .into())
        }
    }
}

/// Trains the linear model. The last of the labeled files calibrates, the others are learned.
fn write_model(home: &Path, file: &Path, labeled: &[&str]) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let corpus = Corpus::read(&home.join("corpus"))?;
    let mut sets = labeled.iter().map(|set| read_labeled(Path::new(set))).collect::<Result<Vec<_>, _>>()?;
    let calibrate = sets.pop().unwrap_or_default();
    let learn = sets.concat();
    eprintln!("{} templates and {} labeled prompts", corpus.templates(), learn.len());
    let trained = train(&corpus, LabeledPrompts { learn: &learn, calibrate: &calibrate });
    std::fs::write(file, &trained.file)?;
    eprintln!(
        "{} examples; {} features, {} of them kept; {} bytes in {:?}",
        trained.examples,
        trained.features.0,
        trained.features.1,
        trained.file.len(),
        start.elapsed(),
    );
    Ok(())
}

fn print_evaluation(files: &[PathBuf]) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let linear = LocalClassifier::embedded();
    let linear_read = start.elapsed();
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("../picarcade/data/encoder-1.bin");
    let weights = std::fs::read(weights)?;
    let start = Instant::now();
    let encoder = Arc::new(Encoder::parse(weights)?);
    let encoder_read = start.elapsed();
    let fast = Classifier::new(Matrix::embedded());
    let both = fast.clone().with_encoder(Arc::clone(&encoder));
    for file in files {
        let labeled = read_labeled(file)?;
        println!("\n## {}\n", file.file_name().unwrap_or_default().display());
        for (name, classifier) in [("The linear model alone", &fast), ("Both stages", &both)] {
            println!("### {name}\n\n{}", report(&evaluate(classifier, &labeled)));
        }
    }
    println!("## Speed\n\nFirst use: linear model {linear_read:.1?}, encoder {encoder_read:.1?}.\n");
    println!("| prompt | characters | linear model | encoder |\n| --- | ---: | ---: | ---: |");
    for (language, prompt) in TIMED {
        let linear = fastest(200, 50, || linear.goals(black_box(prompt), Facts::default()));
        let encoder = fastest(20, 1, || encoder.goals(black_box(prompt), Facts::default()));
        println!("| {language} | {} | {linear:.1?} | {encoder:.1?} |", prompt.chars().count());
    }
    Ok(())
}

/// Returns the best of many rounds, which is the cost without disturbances.
fn fastest<T>(rounds: u32, calls: u32, call: impl Fn() -> T) -> Duration {
    let round = || {
        let start = Instant::now();
        for _ in 0..calls {
            black_box(call());
        }
        start.elapsed() / calls
    };
    (0..rounds).map(|_| round()).min().unwrap_or_default()
}

/// Writes generated examples for the training of the encoder, one JSON object per line.
fn write_examples(home: &Path, file: &Path) -> Result<(), Box<dyn Error>> {
    let corpus = Corpus::read(&home.join("corpus"))?;
    let mut lines = BufWriter::new(File::create(file)?);
    for example in examples(&corpus, ENCODER_EXAMPLES, ENCODER_SEED) {
        let line = serde_json::json!({
            "prompt": classifier_text(&Prompt::new(example.prompt)?),
            "language": example.language,
            "sense": example.sense as usize,
            "regime": example.regime,
        });
        writeln!(lines, "{line}")?;
    }
    Ok(lines.flush()?)
}

/// Replaces the prompt of every JSON object of a file by the text that the classifier reads.
fn write_normalized(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    let mut lines = BufWriter::new(File::create(to)?);
    for line in std::fs::read_to_string(from)?.lines() {
        let mut object: Value = serde_json::from_str(line)?;
        let prompt = Prompt::new(object.get("prompt").and_then(Value::as_str).unwrap_or_default())?;
        if let Some(text) = object.get_mut("prompt") {
            *text = classifier_text(&prompt).into();
        }
        writeln!(lines, "{object}")?;
    }
    Ok(lines.flush()?)
}

fn list_errors(file: &Path, sets: &[&str]) -> Result<(), Box<dyn Error>> {
    let bytes = std::fs::read(file)?;
    let classifier = Classifier::new(Matrix::embedded());
    let classifier = if bytes.starts_with(b"PCENCOD") {
        classifier.with_encoder(Arc::new(Encoder::parse(bytes)?))
    } else {
        classifier.with_local(Box::leak(Box::new(LocalClassifier::parse(bytes.leak())?)))
    };
    for set in sets {
        let evaluation = evaluate(&classifier, &read_labeled(Path::new(set))?);
        println!("{}", report(&evaluation));
        for judgment in evaluation.judgments.iter().filter(|judgment| !judgment.right()) {
            println!(
                "{:.2} {} not {}: {:?}",
                judgment.confidence,
                judgment.found,
                judgment.wanted.map_or("unclear", |wanted| wanted.as_str()),
                judgment.labeled,
            );
        }
    }
    Ok(())
}
