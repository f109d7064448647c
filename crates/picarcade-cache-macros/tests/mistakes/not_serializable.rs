//! An argument of the key is not `Serialize`.
use picarcade_cache::{Cache, cached};

struct Connection;

#[cached(cache = cache())]
async fn answer(prompt: String, connection: Connection) -> anyhow::Result<String> {
    drop(connection);
    Ok(prompt)
}

fn cache() -> Cache<String> {
    todo!()
}

fn main() {}
