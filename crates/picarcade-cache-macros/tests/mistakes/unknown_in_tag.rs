//! A tag names an argument that does not exist.
use picarcade_cache::{Cache, cached};

#[cached(cache = cache(), tags = ["user:{usr}"])]
async fn unknown_in_tag(user: &str) -> anyhow::Result<String> {
    Ok(user.to_owned())
}

fn cache() -> Cache<String> {
    todo!()
}

fn main() {}
