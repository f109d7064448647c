//! The key names an argument that does not exist.
use picarcade_cache::{Cache, cached};

#[cached(cache = cache(), key = [promt])]
async fn answer(prompt: &str) -> anyhow::Result<String> {
    Ok(prompt.to_owned())
}

fn cache() -> Cache<String> {
    todo!()
}

fn main() {}
