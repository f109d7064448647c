//! Finds out why an endpoint cannot be reached.
//!
//! The libraries report a name that is not found, a closed port and a missing route as text or not
//! at all. A connection attempt of our own has the kinds of the operating system.

use std::{io::ErrorKind, time::Duration};

use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

use crate::{
    Cause, Error,
    address::{Address, Node, Topology},
};

/// Where the servers of an endpoint should be.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    nodes: Vec<Node>,
    /// Whether the nodes only name the primary, as Sentinels and cluster nodes do.
    is_indirect: bool,
    /// The maximum time of a search.
    timeout: Duration,
}

impl Reach {
    pub(crate) fn new(address: &Address, timeout: Duration) -> Self {
        let is_indirect = address.topology != Topology::Standalone;
        Self { nodes: address.nodes.clone(), is_indirect, timeout }
    }

    /// Returns why an attempt to connect failed with this error.
    pub(crate) async fn explain(&self, error: &Error) -> Cause {
        if !matches!(error, Error::Refused | Error::Lost | Error::Timeout) {
            return error.cause();
        }
        match timeout(self.timeout, self.obstacle()).await.unwrap_or(Some(Cause::Timeout)) {
            Some(obstacle) => obstacle,
            None if self.is_indirect && *error == Error::Refused => Cause::NoPrimary,
            None => error.cause(),
        }
    }

    /// Returns why the first node cannot be reached, or `None` if any node can.
    async fn obstacle(&self) -> Option<Cause> {
        let mut first = None;
        for node in &self.nodes {
            let obstacle = obstacle(node).await?;
            first = first.or(Some(obstacle));
        }
        first
    }
}

async fn obstacle(node: &Node) -> Option<Cause> {
    let Ok(addresses) = lookup_host((&*node.host, node.port)).await else { return Some(Cause::Dns) };
    let mut last = Cause::Dns;
    for address in addresses {
        last = match TcpStream::connect(address).await {
            Ok(_) => return None,
            Err(error) => match error.kind() {
                ErrorKind::ConnectionRefused => Cause::Refused,
                ErrorKind::TimedOut => Cause::Timeout,
                ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
                    Cause::Unreachable
                }
                _ => Cause::Lost,
            },
        };
    }
    Some(last)
}
