//! The response of a service behind a breaker.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use crate::{BoxedError, CallError, Classify, OwnedPermit, Rejected, error::BoxError};

pin_project! {
    /// The future of a response or a rejection.
    ///
    /// If it is dropped before its end, the call counts as neutral. The call counts as a time-out
    /// if a [`Deadline`](crate::Deadline) ended it, or if it had lasted at least
    /// [`Config::hung_after`](crate::Config::hung_after).
    #[derive(Debug)]
    pub struct ResponseFuture<F, C> {
        #[pin]
        kind: Kind<F, C>,
    }
}

pin_project! {
    #[project = KindProjection]
    #[derive(Debug)]
    enum Kind<F, C> {
        // `None` after the response.
        Admitted { permit: Option<OwnedPermit>, #[pin] call: F, classifier: C },
        Rejected { rejected: Option<Rejected> },
    }
}

impl<F, C> ResponseFuture<F, C> {
    pub(super) const fn admitted(permit: OwnedPermit, call: F, classifier: C) -> Self {
        Self { kind: Kind::Admitted { permit: Some(permit), call, classifier } }
    }

    pub(super) const fn rejected(rejected: Rejected) -> Self {
        Self { kind: Kind::Rejected { rejected: Some(rejected) } }
    }
}

impl<F, C, T, E> Future for ResponseFuture<F, C>
where
    F: Future<Output = Result<T, E>>,
    C: Classify<T, E>,
    E: Into<BoxError>,
{
    type Output = Result<T, CallError<BoxedError>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProjection::Admitted { permit, call, classifier } => {
                let result = ready!(call.poll(cx));
                if let Some(permit) = permit.take() {
                    permit.record(classifier.classify(&result));
                }
                Poll::Ready(result.map_err(|error| CallError::Failed(BoxedError::from(error))))
            }
            // The behavior of a future that is polled after its response is unspecified; this one
            // stays pending.
            KindProjection::Rejected { rejected } => match rejected.take() {
                Some(rejected) => Poll::Ready(Err(CallError::Rejected(rejected))),
                None => Poll::Pending,
            },
        }
    }
}
