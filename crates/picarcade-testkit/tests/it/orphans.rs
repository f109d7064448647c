//! No server outlives its test process: not if that process ends without dropping, and not if it is
//! killed.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Starts the program of the kit with these servers and returns their addresses.
fn start(servers: &[&str]) -> (Child, Vec<SocketAddr>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_picarcade-testkit"))
        .args(servers)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut addresses = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if line == "ready" {
            break;
        }
        if let Some(at) = line.find("127.0.0.1:") {
            let end = line[at..].find(['/', '?']).map_or(line.len(), |end| at + end);
            addresses.push(line[at..end].parse().unwrap());
        }
    }
    (child, addresses)
}

fn is_served(address: &SocketAddr) -> bool {
    TcpStream::connect(address).is_ok()
}

fn assert_gone(addresses: &[SocketAddr]) {
    let deadline = Instant::now() + Duration::from_mins(2);
    while addresses.iter().any(is_served) {
        assert!(Instant::now() < deadline, "a server outlives its test: {addresses:?}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

#[test]
fn a_killed_test_process_leaves_no_server() {
    let (mut child, addresses) = start(&["redis", "postgres", "pgbouncer", "provider"]);
    assert_eq!(addresses.len(), 6);
    assert!(addresses.iter().all(is_served));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_gone(&addresses);
}

#[test]
fn a_program_that_is_done_leaves_no_server() {
    let (mut child, addresses) = start(&["redis", "sentinel"]);
    assert!(addresses.iter().all(is_served));
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert_gone(&addresses);
}

#[test]
fn an_unknown_server_is_a_wrong_call() {
    let output = Command::new(env!("CARGO_BIN_EXE_picarcade-testkit")).arg("oracle").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("oracle"));
}
