//! One client connection through the proxy, from accept to end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::fault::{Fault, Shared};
use super::pump::{Direction, pump};

/// Serves one client until the client, the server, or a fault ends the connection.
pub(super) async fn serve(mut client: TcpStream, ticket: Ticket) {
    let shared = Arc::clone(&ticket.shared);
    let mut settings = shared.setting.subscribe();
    let mut ends = shared.setting.subscribe();
    let mut cuts = shared.cut_below.subscribe();
    let ended = async {
        tokio::select! {
            _ = ends.wait_for(|now| now.fault.ends_connections()) => {}
            _ = cuts.wait_for(|&below| ticket.number < below) => {}
        }
    };
    tokio::pin!(ended);

    let server = async {
        // During `BlackHole` the server is not connected yet.
        let _ = settings.wait_for(|now| now.fault != Fault::BlackHole).await;
        TcpStream::connect(shared.upstream).await.ok()
    };
    let server = tokio::select! {
        server = server => server,
        () = &mut ended => None,
    };
    let Some(mut server) = server else {
        close(&mut [client], &shared).await;
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    {
        let (client_read, client_write) = client.split();
        let (server_read, server_write) = server.split();
        let receiver = || shared.setting.subscribe();
        let requests =
            pump(Direction::Requests, client_read, server_write, receiver(), &shared.request_bytes);
        let replies = pump(Direction::Replies, server_read, client_write, receiver(), &shared.reply_bytes);
        tokio::select! {
            _ = async { tokio::try_join!(requests, replies) } => {}
            () = &mut ended => {}
        }
    }
    close(&mut [client, server], &shared).await;
}

/// Ends the streams as the fault requires.
async fn close(streams: &mut [TcpStream], shared: &Shared) {
    let reset = shared.setting.borrow().fault == Fault::Reset;
    for stream in streams {
        if reset {
            let _ = stream.set_zero_linger();
        } else {
            let _ = stream.shutdown().await;
        }
    }
}

/// The place of a connection among the open ones, from accept to end.
#[derive(Debug)]
pub(super) struct Ticket {
    number: u64,
    shared: Arc<Shared>,
}

impl Ticket {
    pub(super) fn draw(shared: &Arc<Shared>) -> Self {
        let number = shared.accepted.fetch_add(1, Ordering::Relaxed);
        shared.open.send_modify(|open| {
            open.insert(number);
        });
        Self { number, shared: Arc::clone(shared) }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.shared.open.send_modify(|open| {
            open.remove(&self.number);
        });
    }
}
