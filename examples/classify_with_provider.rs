//! How do I ask an AI within a deadline, and fall back to the local classifier if it fails?
//!
//! Needs `ANTHROPIC_API_KEY`; `ANTHROPIC_BASE_URL` selects a gateway or a mock. Without a key it
//! answers locally.
#![allow(clippy::print_stdout)]

use std::env;
use std::time::Duration;

use picarcade_intent::{Anthropic, Classifier, Facts, Matrix, Media, Prompt, Provider, Request, enhance};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let words = env::args().nth(1).unwrap_or_else(|| "let it snow on the village".to_owned());
    let facts = Facts { active_image: true, ..Facts::default() };
    let request = Request { prompt: Prompt::new(words)?, facts, media: Media::default() };
    let classifier = Classifier::new(Matrix::embedded());

    let verdict = match env::var("ANTHROPIC_API_KEY") {
        Ok(key) => {
            let mut builder = Anthropic::builder(key.into());
            if let Ok(base_url) = env::var("ANTHROPIC_BASE_URL") {
                builder = builder.base_url(base_url);
            }
            let claude = builder.build()?;
            println!(
                "asking {} for at most {} micro-dollars",
                claude.model(),
                claude.estimate_micros(&request)
            );
            match claude.classify(&request, classifier.feasible(facts), Duration::from_secs(20)).await {
                // Whatever the answer is, the verdict is feasible under the facts.
                Ok(answer) => classifier.correct(&request, answer),
                Err(error) => {
                    println!("{error}; worth another try: {}", error.is_transient());
                    classifier.classify_locally(&request)
                }
            }
        }
        Err(_) => classifier.classify_locally(&request),
    };
    println!("{} by {}: {}", verdict.prompt_type, verdict.source, verdict.reasoning);
    let written =
        verdict.enhancement.unwrap_or_else(|| enhance(verdict.prompt_type, &request, verdict.audio));
    println!("{written}");
    Ok(())
}
