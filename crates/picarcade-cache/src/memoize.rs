//! The cache around an async function.

use std::{pin::Pin, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use crate::{Cache, Key, LoadError, Lookup};

/// The future of a memoized function.
pub type Memoized<V, E> = Pin<Box<dyn Future<Output = Result<Lookup<V>, LoadError<E>>> + Send>>;

/// Wraps an async function: the returned function asks `cache` first, with the key that `key_of`
/// creates from the argument.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use picarcade_cache::{Cache, Key, memoize};
/// let cache = Cache::builder("square").build()?;
/// let key_of = |n: &u64| Key::builder("square", 1).part_u64(*n).finish();
/// let load = |n: u64| async move { Ok::<_, std::io::Error>(n * n) };
/// let square = memoize(cache.clone(), key_of, load);
/// assert_eq!(*square(12).await?.value, 144);
/// assert_eq!(*square(12).await?.value, 144);
/// assert_eq!(cache.statistics().loads, 1);
/// # Ok(()) }
/// ```
pub fn memoize<A, V, E, K, F, Fut>(
    cache: Cache<V>,
    key_of: K,
    function: F,
) -> impl Fn(A) -> Memoized<V, E> + Clone
where
    A: Send + 'static,
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
    E: Send + Sync + 'static,
    K: Fn(&A) -> Key + Clone,
    F: Fn(A) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<V, E>> + Send + 'static,
{
    let function = Arc::new(function);
    move |argument| {
        let key = key_of(&argument);
        let cache = cache.clone();
        let function = Arc::clone(&function);
        Box::pin(async move { cache.get_or_load(&key, move || function(argument)).await })
    }
}
