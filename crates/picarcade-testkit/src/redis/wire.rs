//! Asks servers: one command over one new connection, or polls until several servers agree. No
//! state remains that a killed and restarted server could invalidate.

use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::resp::{Value, decode, encode};
use crate::error::{Error, Result};
use crate::host::process::{PATIENCE, POLL};

/// The default timeout of a command.
pub(crate) const COMMAND_TIMEOUT: Duration = Duration::from_mins(1);

/// Connects, authenticates, sends the command, and reads one reply.
pub(crate) async fn ask(
    address: SocketAddr,
    password: Option<&str>,
    arguments: &[Vec<u8>],
    timeout: Duration,
) -> Result<Value> {
    let talk = async {
        let mut stream =
            TcpStream::connect(address).await.map_err(Error::io(format!("cannot connect to {address}")))?;
        if let Some(password) = password
            && let Value::Error(error) = exchange(&mut stream, &encode(&["AUTH", password])).await?
        {
            return Err(Error::Refused(error));
        }
        exchange(&mut stream, &encode(arguments)).await
    };
    tokio::time::timeout(timeout, talk).await.map_err(|_| Error::TimedOut(timeout))?
}

async fn exchange(stream: &mut TcpStream, command: &[u8]) -> Result<Value> {
    stream.write_all(command).await.map_err(Error::io("cannot write to redis"))?;
    let mut bytes = Vec::new();
    loop {
        if let Some((value, _)) = decode(&bytes).map_err(Error::Protocol)? {
            return Ok(value);
        }
        if stream.read_buf(&mut bytes).await.map_err(Error::io("cannot read from redis"))? == 0 {
            return Err(Error::Protocol("the connection was closed within a reply".to_owned()));
        }
    }
}

/// Polls until the answer is `Some`. Single errors are ignored, because servers restart meanwhile.
pub(super) async fn until<T, F, Fut>(what: &'static str, mut ask: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let start = Instant::now();
    loop {
        let reason = match ask().await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => "not yet".to_owned(),
            Err(error) => format!("{error:?}"),
        };
        let waited = start.elapsed();
        if waited > PATIENCE {
            return Err(Error::NotReady { program: what, waited, reason, log: String::new() });
        }
        tokio::time::sleep(POLL).await;
    }
}
