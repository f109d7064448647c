//! Checks whether a server accepts clients, in its own protocol: a start-up message, and the first
//! byte of the answer. A server that is starting, stopping or full answers with an error. A ready
//! server asks for the password.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::{Error, Result};

const TIMEOUT: Duration = Duration::from_secs(2);

/// Succeeds if the server at `address` accepts a login of `user` to `database`.
pub(super) async fn takes_clients(address: SocketAddr, user: &str, database: &str) -> Result<()> {
    let talk = async {
        let failed = || Error::io(format!("cannot talk to {address}"));
        let mut stream = TcpStream::connect(address).await.map_err(failed())?;
        stream.write_all(&startup(user, database)).await.map_err(failed())?;
        let mut answer = Vec::new();
        while answer.len() < 5 && stream.read_buf(&mut answer).await.map_err(failed())? > 0 {}
        match answer.first() {
            Some(b'R') => Ok(()),
            Some(b'E') => {
                // Fields end in zero bytes. As a whole they are readable enough for a failure
                // message.
                let fields = String::from_utf8_lossy(answer.get(5..).unwrap_or_default()).replace('\0', " ");
                Err(Error::Refused(fields))
            }
            other => Err(Error::Protocol(format!("an answer begins with {other:?}"))),
        }
    };
    tokio::time::timeout(TIMEOUT, talk).await.map_err(|_| Error::TimedOut(TIMEOUT))?
}

/// Returns the start-up message of protocol 3.0.
fn startup(user: &str, database: &str) -> Vec<u8> {
    let mut body = 196_608_u32.to_be_bytes().to_vec();
    for word in ["user", user, "database", database] {
        body.extend_from_slice(word.as_bytes());
        body.push(0);
    }
    body.push(0);
    let mut message = (body.len() as u32 + 4).to_be_bytes().to_vec();
    message.extend_from_slice(&body);
    message
}
