use picarcade_testkit::{Error, RedisServer, Value, eventually};

#[tokio::test]
async fn a_server_answers_and_ends_with_its_value() {
    let redis = RedisServer::start().await.unwrap();
    assert_eq!(redis.command(&["SET", "key", "value"]).await.unwrap(), "OK");
    assert_eq!(redis.query(&["GET", "key"]).await.unwrap(), Value::Bulk(b"value".to_vec()));
    let (pid, addr) = (redis.pid().unwrap(), redis.addr());
    drop(redis);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(std::net::TcpStream::connect(addr).is_err());
}

#[tokio::test]
async fn a_password_is_asked_for() {
    let redis = RedisServer::builder().password("open \"sesame\"@").start().await.unwrap();
    assert_eq!(redis.command(&["PING"]).await.unwrap(), "PONG");
    let other = std::net::TcpStream::connect(redis.addr()).unwrap();
    assert_eq!(answer_to(&other, "PING\r\n"), "-NOAUTH Authentication required.\r\n");
    assert!(redis.url().starts_with("redis://:open%20%22sesame%22%40@127.0.0.1:"), "{}", redis.url());
}

#[tokio::test]
async fn an_error_reply_is_an_error() {
    let redis = RedisServer::start().await.unwrap();
    let error = redis.command(&["GET"]).await.unwrap_err();
    assert!(matches!(&error, Error::Refused(text) if text.contains("wrong number")), "{error:?}");
}

#[tokio::test]
async fn killed_means_gone_and_restarted_means_the_same_port() {
    let redis =
        RedisServer::builder().arg("appendonly", "yes").arg("appendfsync", "always").start().await.unwrap();
    redis.command(&["SET", "kept", "yes"]).await.unwrap();
    let port = redis.port();
    redis.kill();
    assert!(redis.command(&["PING"]).await.is_err());
    redis.restart().await.unwrap();
    assert_eq!(redis.port(), port);
    assert_eq!(redis.command(&["GET", "kept"]).await.unwrap(), "yes");
}

#[tokio::test]
async fn paused_means_silent_until_resumed() {
    let redis = RedisServer::start().await.unwrap();
    let stream = std::net::TcpStream::connect(redis.addr()).unwrap();
    assert_eq!(answer_to(&stream, "PING\r\n"), "+PONG\r\n");
    redis.pause();
    stream.set_read_timeout(Some(std::time::Duration::from_millis(100))).unwrap();
    std::io::Write::write_all(&mut &stream, b"PING\r\n").unwrap();
    assert!(std::io::Read::read(&mut &stream, &mut [0; 16]).is_err(), "a stopped server answered");
    redis.resume();
    stream.set_read_timeout(None).unwrap();
    assert_eq!(answer_to(&stream, ""), "+PONG\r\n");
    redis.pause();
    redis.kill();
    assert!(redis.command(&["PING"]).await.is_err());
}

#[tokio::test]
async fn a_replica_follows() {
    let primary = RedisServer::builder().password("secret").start().await.unwrap();
    primary.command(&["SET", "a", "1"]).await.unwrap();
    let replica = RedisServer::builder().password("secret").replica_of(&primary).start().await.unwrap();
    assert_eq!(replica.command(&["GET", "a"]).await.unwrap(), "1");
    assert!(replica.command(&["SET", "a", "2"]).await.unwrap_err().to_string().contains("READONLY"));
}

#[tokio::test]
async fn a_server_that_cannot_start_shows_its_log() {
    let error = RedisServer::builder().arg("no-such-line", "1").start().await.unwrap_err();
    assert!(matches!(&error, Error::Exited { .. }), "{error:?}");
    assert!(error.to_string().contains("no-such-line"), "{error}");
}

#[tokio::test]
async fn a_server_that_ends_by_itself_is_seen_and_can_come_back() {
    let redis = RedisServer::start().await.unwrap();
    // The server ends instead of answering.
    assert!(redis.command(&["SHUTDOWN", "NOSAVE"]).await.is_err());
    eventually("the process has ended", async || redis.pid().is_none()).await;
    // Signals to an ended server are no error and reach no other process.
    redis.pause();
    redis.kill();
    redis.restart().await.unwrap();
    assert_eq!(redis.command(&["PING"]).await.unwrap(), "PONG");
}

#[tokio::test]
async fn commands_are_counted() {
    let redis = RedisServer::start().await.unwrap();
    redis.command(&["SET", "a", "1"]).await.unwrap();
    redis.command(&["GET", "a"]).await.unwrap();
    redis.command(&["GET", "a"]).await.unwrap();
    assert_eq!(redis.calls("get").await.unwrap(), 2);
    assert_eq!(redis.calls("del").await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_does_not_matter() {
    let redis = RedisServer::start().await.unwrap();
    redis.restart().await.unwrap();
    assert_eq!(redis.command(&["PING"]).await.unwrap(), "PONG");
}

fn answer_to(mut stream: &std::net::TcpStream, line: &str) -> String {
    use std::io::{Read, Write};
    stream.write_all(line.as_bytes()).unwrap();
    let mut answer = [0; 256];
    let length = stream.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}
