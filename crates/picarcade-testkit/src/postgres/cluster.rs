//! The directory of a database server: made once in each test process by `initdb`, then copied, which is ten times as fast.
//!
//! It holds the superuser `postgres` and an ordinary role `app` that owns the database `app`, since a service is not a
//! superuser: row-level security and missing privileges would not be seen. Both have the same password, which is asked for.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::error::{Error, Result};
use crate::host::account::Account;
use crate::host::program;
use crate::host::scratch::{Run, give};

/// The role that owns everything a test makes.
pub(super) const OWNER: &str = "app";
/// The role that may do anything.
pub(super) const SUPERUSER: &str = "postgres";
/// The password of both. A constant of tests, behind no door.
pub(super) const PASSWORD: &str = "testkit";

static TEMPLATE: OnceCell<TempDir> = OnceCell::const_new();

/// A fresh copy, as `pgdata` below a directory of its own.
pub(super) async fn fresh(account: Option<Account>) -> Result<TempDir> {
    let template = TEMPLATE.get_or_try_init(|| async move { blocking(move || make(account)).await }).await?;
    let source = template.path().join("pgdata");
    blocking(move || {
        let directory = Run::current()?.directory("postgres", account.as_ref())?;
        let mut copy = Command::new("cp");
        copy.args(["-R", "-p"]).arg(source).arg(directory.path());
        run("cp", &mut copy)?;
        Ok(directory)
    })
    .await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|stopped| Error::Io { what: "stopped".to_owned(), source: stopped.into() })?
}

fn make(account: Option<Account>) -> Result<TempDir> {
    let directory = Run::current()?.directory("postgres-template", account.as_ref())?;
    let pgdata = directory.path().join("pgdata");
    let password = write(directory.path(), "password", PASSWORD, account)?;
    let mut initdb = Command::new(program::postgres("initdb")?);
    initdb
        .args(["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"])
        .arg(format!("--username={SUPERUSER}"))
        .arg(option("--pwfile=", &password))
        .arg(option("--pgdata=", &pgdata))
        .current_dir(directory.path());
    run_as("initdb", &mut initdb, account)?;

    // Without a server: one process that reads statements, one a line.
    let statements = format!(
        "CREATE ROLE {OWNER} LOGIN CREATEDB PASSWORD '{PASSWORD}'\nCREATE DATABASE {OWNER} OWNER {OWNER}\n"
    );
    let statements = write(directory.path(), "statements", &statements, account)?;
    let mut single = Command::new(program::postgres("postgres")?);
    single
        .args(["--single", "-F", "-c", "exit_on_error=on", "-D"])
        .arg(&pgdata)
        .arg("postgres")
        .current_dir(directory.path())
        .stdin(File::open(statements).map_err(Error::io("cannot read the first statements"))?);
    run_as("postgres --single", &mut single, account)?;
    Ok(directory)
}

fn option(name: &str, value: &Path) -> std::ffi::OsString {
    let mut option = std::ffi::OsString::from(name);
    option.push::<&OsStr>(value.as_ref());
    option
}

fn write(directory: &Path, name: &str, text: &str, account: Option<Account>) -> Result<PathBuf> {
    let path = directory.join(name);
    std::fs::write(&path, text).map_err(Error::io(format!("cannot write {}", path.display())))?;
    give(&path, account.as_ref())?;
    Ok(path)
}

fn run_as(program: &'static str, command: &mut Command, account: Option<Account>) -> Result<()> {
    if let Some(account) = account {
        account.apply(command);
    }
    run(program, command)
}

/// Runs a program that ends; what it wrote is in the error when it fails.
fn run(program: &'static str, command: &mut Command) -> Result<()> {
    let output = command
        .env("LC_ALL", "C")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .map_err(|source| Error::Spawn { program, source })?;
    if output.status.success() {
        return Ok(());
    }
    let output_text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    Err(Error::Failed { program, status: output.status, output: output_text.into_owned() })
}
