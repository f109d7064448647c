//! TLS with a client of rustls.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use picarcade_testkit::RedisServer;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

fn ping(server: &RedisServer, ca_pem: &str, name: &str) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(client, TcpStream::connect(server.addr())?);
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn a_client_that_trusts_the_authority_is_answered() {
    let server = RedisServer::builder().tls().start().await.unwrap();
    assert!(server.url().starts_with("rediss://"), "{}", server.url());
    for name in ["127.0.0.1", "localhost"] {
        assert_eq!(ping(&server, server.ca_pem().unwrap(), name).unwrap(), "+PONG\r\n");
    }
    let file = std::fs::read_to_string(server.ca_path().unwrap()).unwrap();
    assert_eq!(file, server.ca_pem().unwrap());
    assert_eq!(server.command(&["PING"]).await.unwrap(), "PONG");
    server.restart().await.unwrap();
    assert_eq!(ping(&server, server.ca_pem().unwrap(), "localhost").unwrap(), "+PONG\r\n");
}

#[tokio::test]
async fn another_authority_and_another_name_are_refused() {
    let server = RedisServer::builder().tls().start().await.unwrap();
    let other = RedisServer::builder().tls().start().await.unwrap();
    let wrong = ping(&server, other.ca_pem().unwrap(), "localhost").unwrap_err();
    assert!(wrong.to_string().contains("certificate"), "{wrong}");
    let misnamed = ping(&server, server.ca_pem().unwrap(), "elsewhere.example").unwrap_err();
    assert!(misnamed.to_string().contains("certificate"), "{misnamed}");
}

#[tokio::test]
async fn plain_text_is_refused() {
    let server = RedisServer::builder().tls().start().await.unwrap();
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    stream.write_all(b"PING\r\nPING\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"+PONG"));
}
