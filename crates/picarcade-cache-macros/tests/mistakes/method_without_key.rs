//! A method does not say what its value depends on.
use picarcade_cache::{Cache, cached};

#[derive(Clone)]
struct Answers(Cache<String>);

impl Answers {
    #[cached(cache = self.0)]
    async fn answer(&self, prompt: &str) -> anyhow::Result<String> {
        Ok(prompt.to_owned())
    }
}

fn main() {}
