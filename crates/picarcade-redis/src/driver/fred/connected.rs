//! A fred client that is connected while a value lives.

use fred::{clients::Client, interfaces::ClientLike, types::ConnectHandle};
use futures_util::future::poll_immediate;

use super::reply::error_kind;
use crate::Error;

/// The task that connects a client and keeps it connected while this value lives.
pub(super) struct Connected(ConnectHandle);

impl Connected {
    /// Connects. Dropping the future ends the attempt; the `init` of fred would continue.
    pub(super) async fn open(client: &Client) -> Result<Self, Error> {
        let mut connected = Box::pin(client.wait_for_connect());
        // The listener starts with its first poll and must not miss an immediate answer.
        let early = poll_immediate(&mut connected).await;
        let task = Self(client.connect());
        let outcome = match early {
            Some(outcome) => outcome,
            None => connected.await,
        };
        outcome.map(|()| task).map_err(|error| error_kind(&error))
    }

    /// Waits until the connection has ended.
    pub(super) async fn ended(&mut self) {
        let _ = (&mut self.0).await;
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Returns a client with the settings of another one that does not reconnect.
pub(super) fn alone(like: &Client) -> Client {
    Client::new(like.client_config(), Some(like.perf_config()), Some(like.connection_config().clone()), None)
}
