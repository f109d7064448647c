//! A memoized function: `cargo run -p picarcade-examples --example memoize`.
#![allow(clippy::print_stdout)]

use std::time::Duration;

use picarcade_cache::{Cache, Key, memoize};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cache = Cache::builder("translation")
        .ttl(Duration::from_mins(10))
        // A word that is asked often is translated again before it expires, without a wait.
        .refresh_ahead(1.0)
        // That there is no translation is remembered for a shorter time.
        .negative_when(String::is_empty)
        .negative_ttl(Duration::from_secs(30))
        .build()?;
    let key_of = |word: &String| Key::builder("translation", 1).part(word).finish();
    let translate = memoize(cache.clone(), key_of, |word: String| async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok::<_, std::io::Error>(word.chars().rev().collect::<String>())
    });
    for word in ["sky", "purple", "sky"] {
        let found = translate(word.to_owned()).await?;
        println!("{word} → {} (from {})", found.value, found.source.as_str());
    }
    println!("{} loads", cache.statistics().loads);
    Ok(())
}
