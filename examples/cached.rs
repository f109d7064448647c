//! The attribute `#[cached]` on methods: `cargo run -p picarcade-examples --example cached`.
#![allow(clippy::print_stdout)]

use std::time::Duration;

use picarcade_cache::{Cache, cached};

/// What users prefer. All clones share the caches.
#[derive(Clone)]
struct Preferences {
    styles: Cache<Option<String>>,
}

impl Preferences {
    fn new() -> anyhow::Result<Self> {
        let styles = Cache::builder("preferences")
            .ttl(Duration::from_mins(10))
            // That a user has no preference is remembered for a shorter time.
            .negative_ttl(Duration::from_secs(30))
            .build()?;
        Ok(Self { styles })
    }

    /// Returns the style that a user prefers. The request is not a part of the key.
    #[cached(cache = self.styles, key = [user], tags = ["user:{user}"])]
    async fn style(&self, user: u64, request: &str) -> anyhow::Result<Option<String>> {
        println!("{request} reads the database for user {user}");
        Ok((user == 7).then(|| "watercolor".to_owned()))
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let preferences = Preferences::new()?;
    for (user, request) in [(7, "request a"), (8, "request b"), (7, "request c"), (8, "request d")] {
        println!("{request}: user {user} prefers {:?}", preferences.style(user, request).await?);
    }
    preferences.styles.remove_by_tag("user:7").await;
    preferences.style(7, "request e").await?;
    println!("{} loads", preferences.styles.statistics().loads);
    Ok(())
}
