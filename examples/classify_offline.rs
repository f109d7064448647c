//! How do I classify a prompt without any AI, key or server?
#![allow(clippy::print_stdout)]

use picarcade_intent::{Classifier, Facts, Matrix, Media, Prompt, Request, enhance};

fn main() -> anyhow::Result<()> {
    let words = std::env::args().nth(1).unwrap_or_else(|| "make the sky purple".to_owned());
    let facts = Facts { active_image: true, ..Facts::default() };
    let request = Request { prompt: Prompt::new(words)?, facts, media: Media::default() };
    let verdict = Classifier::new(Matrix::embedded()).classify_locally(&request);
    println!("{} ({:.2}): {}", verdict.prompt_type, verdict.confidence, verdict.reasoning);
    println!("{}", enhance(verdict.prompt_type, &request, verdict.audio));
    Ok(())
}
