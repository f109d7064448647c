//! Stores with certificates of a private CA.

use picarcade_testkit::{PostgresServer, RedisServer};
use tempfile::TempDir;

use crate::database::migrated;
use crate::service::{Service, connected, picarcade, until};

#[tokio::test]
async fn redis_and_its_backup_are_trusted_by_a_private_ca_with_both_drivers() {
    let directory = TempDir::new().unwrap();
    let (primary, backup) =
        tokio::try_join!(RedisServer::builder().tls().start(), RedisServer::builder().tls().start()).unwrap();
    let file = directory.path().join("ca.pem");
    let file = file.to_str().unwrap();
    std::fs::write(file, [primary.ca_pem().unwrap(), backup.ca_pem().unwrap()].concat()).unwrap();
    let (url, backup_url) = (primary.url(), backup.url());
    for driver in ["redis", "fred"] {
        let stores =
            [("REDIS_URL", &*url), ("REDIS_BACKUP_URL", &*backup_url), ("PICARCADE_REDIS_DRIVER", driver)];
        let service = Service::start(&[&stores[..], &[("REDIS_CA_FILE", file)]].concat()).await;
        connected(&service).await;
        primary.kill();
        until("the backup serves", async || {
            let redis = service.get("/health/cache").await["redis"].clone();
            redis["connected"] == true && redis["active"] == "backup"
        })
        .await;
        primary.restart().await.unwrap();

        // The system does not know the CA.
        let service = Service::start(&[&stores[..], &[("REDIS_CA_FILE", "system")]].concat()).await;
        until("the cause is named", async || {
            service.records("redis cannot be used").iter().any(|record| record["kind"] == "tls")
        })
        .await;
    }
}

#[tokio::test]
async fn postgres_is_trusted_by_a_private_ca_and_its_name_is_verified() {
    let directory = TempDir::new().unwrap();
    let (server, other) =
        tokio::try_join!(PostgresServer::builder().tls().start(), PostgresServer::builder().tls().start())
            .unwrap();
    let write = |name: &str, pem: &str| {
        let file = directory.path().join(name);
        std::fs::write(&file, pem).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let right = write("right.pem", server.ca_pem().unwrap());
    let wrong = write("wrong.pem", other.ca_pem().unwrap());
    let url = migrated(&server).await;
    let service = Service::start(&[("DATABASE_URL", &*url), ("DATABASE_CA_FILE", &right)]).await;
    let database =
        async |service: &Service| service.get("/health/detailed").await["components"]["database"].clone();
    until("it is used", async || database(&service).await["latency_ms"].is_number()).await;
    let encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE application_name = 'picarcade-analytics'";
    assert_eq!(server.psql(encrypted).await.unwrap(), "t");

    // Another CA, and a host name that the certificate does not have.
    let renamed = url.replace("127.0.0.1", "127.0.0.2");
    for (url, file) in [(&url, &wrong), (&renamed, &right)] {
        let service = Service::start(&[("DATABASE_URL", url), ("DATABASE_CA_FILE", file)]).await;
        let wanted = if *url == renamed { "refused" } else { "tls" };
        until("the cause is named", async || database(&service).await["last_error"] == wanted).await;
    }
}

#[tokio::test]
async fn an_unusable_ca_file_is_one_clear_line() {
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("empty.pem"), "").unwrap();
    std::fs::write(directory.path().join("broken.pem"), "-----BEGIN CERTIFICATE-----\nx\n").unwrap();
    let (redis, postgres) =
        (("REDIS_URL", "rediss://127.0.0.1:1"), ("DATABASE_URL", "postgres://127.0.0.1:1/d"));
    for (store, key, file, part) in [
        (redis, "REDIS_CA_FILE", "absent.pem", "absent.pem cannot be read"),
        (redis, "REDIS_CA_FILE", "empty.pem", "no certificate in it"),
        (redis, "REDIS_CA_FILE", "broken.pem", "PEM"),
        (("REDIS_URL", "redis://127.0.0.1:1"), "REDIS_CA_FILE", "system", "rediss://"),
        (postgres, "DATABASE_CA_FILE", "absent.pem", "absent.pem cannot be read"),
        (postgres, "DATABASE_CA_FILE", "empty.pem", "no certificate in it"),
        (
            ("DATABASE_URL", "postgres://127.0.0.1:1/d?sslmode=disable"),
            "DATABASE_CA_FILE",
            "system",
            "sslmode",
        ),
        (("DATABASE_URL", "sqlite://x"), "DATABASE_CA_FILE", "system", "postgres://"),
    ] {
        let output = picarcade(&directory, &[store, (key, file)]).arg("serve").output().await.unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(key) && error.contains(part), "{error}");
        assert_eq!(error.trim_end().lines().count(), 1, "{error}");
    }
}
