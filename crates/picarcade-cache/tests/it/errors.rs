//! Errors of loads where a program meets them: behind `?`, and inside the middleware of tower.

use std::{io, sync::Arc, time::Duration};

use picarcade_cache::{Cache, Key, LoadError, Lookup, memoize};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::key;

const SECOND: Duration = Duration::from_secs(1);

fn cache() -> Cache<u32> {
    Cache::builder("test").build().unwrap()
}

async fn load<E: Send + Sync + 'static>(error: E) -> Result<Lookup<u32>, LoadError<E>> {
    cache().get_or_load(key(1), || async { Err(error) }).await
}

#[tokio::test]
async fn a_question_mark_converts_the_error_into_anyhow_and_box_error() {
    async fn into_anyhow<E>(error: E) -> anyhow::Result<u32>
    where
        E: std::fmt::Debug + std::fmt::Display + Send + Sync + 'static,
    {
        Ok(*load(error).await?.value)
    }
    async fn into_box<E>(error: E) -> Result<u32, BoxError>
    where
        E: std::fmt::Debug + std::fmt::Display + Send + Sync + 'static,
    {
        Ok(*load(error).await?.value)
    }
    let io_error = || io::Error::other("no disk");
    let boxed = || BoxError::from(io_error());
    let with_cause = || anyhow::Error::new(io_error()).context("no answer");
    let message = "the load failed: no disk";
    assert_eq!(into_anyhow(io_error()).await.unwrap_err().to_string(), message);
    assert_eq!(into_box(io_error()).await.unwrap_err().to_string(), message);
    assert_eq!(into_anyhow(boxed()).await.unwrap_err().to_string(), message);
    assert_eq!(into_box(boxed()).await.unwrap_err().to_string(), message);
    assert_eq!(into_box("no disk").await.unwrap_err().to_string(), message);
    let causes = "the load failed: no answer: no disk";
    assert_eq!(into_anyhow(with_cause()).await.unwrap_err().to_string(), causes);
    assert_eq!(into_box(with_cause()).await.unwrap_err().to_string(), causes);
}

#[tokio::test]
async fn the_error_of_the_loader_is_reachable_behind_a_box() {
    let error: BoxError = load(io::Error::from(io::ErrorKind::NotFound)).await.unwrap_err().into();
    let Some(LoadError::Failed(own)) = error.downcast_ref::<LoadError<io::Error>>() else {
        panic!("another error: {error}");
    };
    assert_eq!(own.kind(), io::ErrorKind::NotFound);
}

#[tokio::test]
async fn waiters_share_one_error_of_any_type() {
    let error = load(anyhow::anyhow!("once")).await.unwrap_err();
    let (LoadError::Failed(one), LoadError::Failed(other)) = (error.clone(), error) else {
        panic!("another error");
    };
    assert!(Arc::ptr_eq(&one, &other));
}

/// Returns a service with a cache inside, for any error type of the loader.
fn service<E>(
    make: fn() -> E,
) -> impl Service<u64, Response = u32, Error = LoadError<E>, Future: Send> + Clone + Send + 'static
where
    E: std::fmt::Debug + std::fmt::Display + Send + Sync + 'static,
{
    let cache = cache();
    service_fn(move |number: u64| {
        let cache = cache.clone();
        async move {
            let load = move || async move { if number == 0 { Err(make()) } else { Ok(7) } };
            Ok(*cache.get_or_load(&Key::builder("test", 1).part_u64(number).finish(), load).await?.value)
        }
    })
}

#[tokio::test]
async fn timeout_and_buffer_of_tower_accept_a_service_with_a_cache_inside() {
    let plain =
        ServiceBuilder::new().buffer(4).timeout(SECOND).service(service(|| io::Error::other("no disk")));
    let boxed = ServiceBuilder::new()
        .timeout(SECOND)
        .buffer(4)
        .service(service(|| BoxError::from(io::Error::other("no disk"))));
    assert_eq!(plain.clone().oneshot(1).await.unwrap(), 7);
    assert_eq!(boxed.clone().oneshot(1).await.unwrap(), 7);
    assert_eq!(plain.oneshot(0).await.unwrap_err().to_string(), "the load failed: no disk");
    assert_eq!(boxed.oneshot(0).await.unwrap_err().to_string(), "the load failed: no disk");
}

#[tokio::test]
async fn a_tower_service_is_a_loader() {
    let inner = ServiceBuilder::new()
        .timeout(SECOND)
        .service(service_fn(|number: u64| async move { Ok::<_, io::Error>(number * 2) }));
    let load = memoize(
        Cache::<u64>::builder("test").build().unwrap(),
        |number: &u64| Key::builder("test", 1).part_u64(*number).finish(),
        move |number| inner.clone().oneshot(number),
    );
    let ask = async || -> anyhow::Result<u64> { Ok(*load(21).await?.value) };
    assert_eq!(ask().await.unwrap(), 42);
}
