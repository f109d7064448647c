//! Errors pass `?` into the two types that programs collect errors in, and keep their sources.

use std::{error::Error, io};

use picarcade_breaker::{
    BoxedError, BulkheadFull, CallError, CircuitBreaker, Config, ConfigError, Deadline, DeadlineExceeded,
    Rejected, Retry, RetryError, RetryHint,
};

use crate::support::{breaker, open, secs};

type BoxError = Box<dyn Error + Send + Sync>;

const fn is_an_error<E: Error + Send + Sync + 'static>() {}

const _: () = {
    is_an_error::<BulkheadFull>();
    is_an_error::<CallError<BoxedError>>();
    is_an_error::<CallError<io::Error>>();
    is_an_error::<CallError<std::convert::Infallible>>();
    is_an_error::<ConfigError>();
    is_an_error::<DeadlineExceeded>();
    is_an_error::<Rejected>();
    is_an_error::<RetryError<BoxedError>>();
    is_an_error::<RetryError<CallError<BoxedError>>>();
    is_an_error::<RetryError<CallError<io::Error>>>();
    #[cfg(feature = "fleet")]
    is_an_error::<picarcade_breaker::fleet::FleetError>();
};

fn no_route() -> io::Error {
    io::Error::other("no route")
}

fn never<E>(_: &E) -> RetryHint {
    RetryHint::Never
}

/// An error type that implements `Error` needs only `?`.
async fn typed<X: From<CallError<io::Error>>>(breaker: &CircuitBreaker) -> Result<(), X> {
    breaker.call(async { Err::<(), _>(no_route()) }).await?;
    Ok(())
}

#[tokio::test]
async fn a_typed_error_converts_into_anyhow_and_boxes() {
    let (closed, open) = (breaker(Config::default()), open(Config::default()));
    let error = typed::<anyhow::Error>(&closed).await.unwrap_err();
    assert_eq!(error.root_cause().downcast_ref::<io::Error>().unwrap().to_string(), "no route");
    let error = typed::<anyhow::Error>(&open).await.unwrap_err();
    assert!(error.root_cause().is::<Rejected>());
    let error = typed::<BoxError>(&closed).await.unwrap_err();
    assert!(error.source().unwrap().is::<io::Error>());
    let error = typed::<BoxError>(&open).await.unwrap_err();
    assert!(error.source().unwrap().is::<Rejected>());
}

/// A type that does not implement `Error` is boxed first.
#[tokio::test]
async fn an_untyped_error_converts_after_boxing() {
    async fn boxed(breaker: &CircuitBreaker) -> Result<(), BoxError> {
        let call = breaker.call(async { Err::<(), BoxError>(no_route().into()) });
        Ok(call.await.map_err(CallError::boxed)?)
    }
    async fn through_anyhow(breaker: &CircuitBreaker) -> anyhow::Result<()> {
        let call = breaker.call(async { Err::<(), _>(anyhow::Error::from(no_route())) });
        Ok(call.await.map_err(CallError::boxed)?)
    }
    async fn text(breaker: &CircuitBreaker) -> anyhow::Result<()> {
        Ok(breaker.call(async { Err::<(), _>("no route") }).await.map_err(CallError::boxed)?)
    }
    let (closed, open) = (breaker(Config::default()), open(Config::default()));
    assert!(boxed(&closed).await.unwrap_err().source().unwrap().is::<io::Error>());
    assert!(boxed(&open).await.unwrap_err().source().unwrap().is::<Rejected>());
    for error in [through_anyhow(&closed).await, text(&closed).await] {
        assert_eq!(format!("{:#}", error.unwrap_err()), "the call failed: no route");
    }
    assert!(through_anyhow(&open).await.unwrap_err().root_cause().is::<Rejected>());
}

#[tokio::test]
async fn retries_keep_the_chain_of_sources() {
    async fn retried(breaker: &CircuitBreaker) -> anyhow::Result<()> {
        let (retry, deadline) = (Retry::default(), Deadline::after(secs(5)));
        let attempt = |_| async {
            let call = breaker.call(async { Err::<(), _>(anyhow::Error::from(no_route())) });
            call.await.map_err(CallError::boxed)
        };
        Ok(retry.run(deadline, never, attempt).await?)
    }
    async fn unguarded() -> anyhow::Result<()> {
        let attempt = |_| async { Err::<(), _>(anyhow::Error::from(no_route())) };
        let run = Retry::default().run(Deadline::after(secs(5)), never, attempt).await;
        Ok(run.map_err(RetryError::boxed)?)
    }
    let error = retried(&breaker(Config::default())).await.unwrap_err();
    assert_eq!(format!("{error:#}"), "the last attempt failed: the call failed: no route");
    assert!(retried(&open(Config::default())).await.unwrap_err().root_cause().is::<Rejected>());
    let error = unguarded().await.unwrap_err();
    assert_eq!(format!("{error:#}"), "the last attempt failed: no route");
}

#[test]
fn a_boxed_error_returns_the_original() {
    let error = CallError::Failed(no_route()).boxed().into_failed().unwrap();
    assert_eq!((error.to_string(), error.is::<io::Error>()), ("no route".to_owned(), true));
    assert!(error.into_inner().downcast::<io::Error>().is_ok());
}
