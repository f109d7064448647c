//! Runs one command over one new connection. No state remains that a killed and restarted server
//! could invalidate.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::resp::{Value, decode, encode};
use crate::error::{Error, Result};

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
