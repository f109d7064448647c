use picarcade_testkit::{Error, PgBouncer, PostgresServer, eventually};

#[tokio::test]
async fn a_server_answers_its_owner_and_its_superuser() {
    let server = PostgresServer::start().await.unwrap();
    let who = "SELECT current_user, current_database(), rolsuper FROM pg_roles WHERE rolname = current_user";
    assert_eq!(server.psql_at(&server.url(), who).await.unwrap(), "app|app|f");
    assert_eq!(server.psql(who).await.unwrap(), "postgres|app|t");
    server.psql_at(&server.url(), "CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)").await.unwrap();
    assert_eq!(server.psql("SELECT a FROM t ORDER BY a").await.unwrap(), "1\n2");
}

#[tokio::test]
async fn databases_are_apart() {
    let server = PostgresServer::start().await.unwrap();
    let (one, two) = (server.create_database().await.unwrap(), server.create_database().await.unwrap());
    server.psql_at(&one, "CREATE TABLE here (a int)").await.unwrap();
    let error = server.psql_at(&two, "SELECT * FROM here").await.unwrap_err();
    assert!(matches!(&error, Error::Failed { output, .. } if output.contains("does not exist")), "{error:?}");
}

#[tokio::test]
async fn a_wrong_password_is_refused() {
    let server = PostgresServer::start().await.unwrap();
    let wrong = server.url().replace("testkit", "guess");
    let error = server.psql_at(&wrong, "SELECT 1").await.unwrap_err();
    assert!(error.to_string().contains("password authentication failed"), "{error}");
}

#[tokio::test]
async fn what_was_committed_survives_a_kill() {
    let server = PostgresServer::start().await.unwrap();
    server.psql("CREATE TABLE t (a int)").await.unwrap();
    for round in 1..=3 {
        server.psql(&format!("INSERT INTO t VALUES ({round})")).await.unwrap();
        // A session that sleeps is killed with its server.
        let url = server.superuser_url();
        let sleeper = server.psql_at(&url, "SELECT pg_sleep(600)");
        let killer = async {
            let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)'";
            eventually("the session sleeps", async || server.psql(sleeping).await.unwrap() == "1").await;
            server.kill();
        };
        let (slept, ()) = tokio::join!(sleeper, killer);
        assert!(slept.is_err(), "a session outlived its server");
        server.restart().await.unwrap();
        assert_eq!(server.psql("SELECT count(*) FROM t").await.unwrap(), round.to_string());
    }
}

#[tokio::test]
async fn paused_means_that_no_session_answers() {
    let server = PostgresServer::start().await.unwrap();
    server.pause();
    let mut asked = Box::pin(server.psql("SELECT 7"));
    let silent = tokio::time::timeout(std::time::Duration::from_millis(200), &mut asked).await;
    assert!(silent.is_err(), "a stopped server answered: {silent:?}");
    server.resume();
    assert_eq!(asked.await.unwrap(), "7");
}

#[tokio::test]
async fn settings_are_the_callers() {
    let server = PostgresServer::builder().arg("max_connections", "7").start().await.unwrap();
    assert_eq!(server.psql("SHOW max_connections").await.unwrap(), "7");
}

#[tokio::test]
async fn dropped_means_that_nothing_is_left() {
    let server = PostgresServer::start().await.unwrap();
    let pid = server.pid().unwrap();
    let directory = server.psql("SHOW data_directory").await.unwrap();
    assert!(std::path::Path::new(&directory).exists());
    drop(server);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(!std::path::Path::new(&directory).exists());
}

#[tokio::test]
async fn pgbouncer_hands_a_session_from_one_client_to_the_next() {
    let server = PostgresServer::start().await.unwrap();
    let bouncer = PgBouncer::start_with(&server, 1).await.unwrap();
    let first = server.psql_at(&bouncer.url(), "SELECT pg_backend_pid()").await.unwrap();
    let second = server.psql_at(&bouncer.url(), "SELECT pg_backend_pid()").await.unwrap();
    assert_eq!(first, second, "two clients, one session of the server");
    let wrong = bouncer.url().replace("testkit", "guess");
    assert!(server.psql_at(&wrong, "SELECT 1").await.is_err());
    bouncer.kill();
    assert!(server.psql_at(&bouncer.url(), "SELECT 1").await.is_err());
}
