//! Functions that cannot be cached.
use picarcade_cache::{Cache, cached};

#[cached(cache = cache())]
fn blocking(prompt: &str) -> anyhow::Result<String> {
    Ok(prompt.to_owned())
}

#[cached(cache = cache())]
async fn infallible(prompt: &str) -> String {
    prompt.to_owned()
}

#[cached(cache = cache())]
async fn mutable(prompt: &mut String) -> anyhow::Result<String> {
    Ok(prompt.clone())
}

#[cached(cache = cache())]
async fn pattern((prompt, _): (String, u8)) -> anyhow::Result<String> {
    Ok(prompt)
}

#[cached(cache = cache())]
async fn error_without_conversion(prompt: &str) -> Result<String, std::num::ParseIntError> {
    Ok(prompt.to_owned())
}

fn cache() -> Cache<String> {
    todo!()
}

fn main() {}
