//! Options that do not exist, repeat, or have a wrong value.
use picarcade_cache::{Cache, cached};

#[cached(cache = cache(), tll = "1h")]
async fn unknown(prompt: &str) -> anyhow::Result<String> {
    Ok(prompt.to_owned())
}

#[cached(cache = cache(), ttl = "1h", ttl = "2h")]
async fn twice(prompt: &str) -> anyhow::Result<String> {
    Ok(prompt.to_owned())
}

#[cached(cache = cache(), ttl = "soon")]
async fn unclear(prompt: &str) -> anyhow::Result<String> {
    Ok(prompt.to_owned())
}

#[cached(cache = cache(), key = "{prompt}")]
async fn text_as_key(prompt: &str) -> anyhow::Result<String> {
    Ok(prompt.to_owned())
}

#[cached(key = [prompt])]
async fn no_cache(prompt: &str) -> anyhow::Result<String> {
    Ok(prompt.to_owned())
}

fn cache() -> Cache<String> {
    todo!()
}

fn main() {}
