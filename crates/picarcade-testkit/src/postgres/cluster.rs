//! The files of a new database server.
//!
//! `initdb` takes seconds on a busy machine, so it runs once. The result is an archive in the
//! temporary directory, for this and for later test processes, and each server unpacks a copy.
//!
//! An archive is used because a cleaner of old files would remove single files of a directory. The
//! name of the archive contains what it depends on. The archive is created by renaming, so it is
//! never incomplete. An archive of another user is not used.
//!
//! It contains the superuser `postgres` and the ordinary role `app`, which owns the database `app`.
//! A service is no superuser, and a superuser would hide errors of row-level security and
//! privileges. Both roles have the same password.

use std::fs::{File, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::Uid;
use tempfile::TempDir;

use crate::error::{Error, Result};
use crate::host::account::Account;
use crate::host::program;
use crate::host::scratch::{Run, give};

/// The role that owns everything a test creates.
pub(super) const OWNER: &str = "app";
pub(super) const SUPERUSER: &str = "postgres";
/// The password of both roles. The servers listen on loopback only.
pub(super) const PASSWORD: &str = "testkit";
/// Arguments of `initdb`. Small WAL segments halve the size of a copy.
const INITDB: [&str; 5] =
    ["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "--wal-segsize=1"];

/// Creates a copy as `pgdata` in a new directory.
pub(super) async fn fresh(account: Option<Account>) -> Result<TempDir> {
    tokio::task::spawn_blocking(move || {
        let archive = archive(account)?;
        let directory = Run::current()?.directory("postgres", account.as_ref())?;
        let mut unpack = Command::new("tar");
        unpack.arg("-xpf").arg(archive).arg("-C").arg(directory.path());
        run("tar", &mut unpack)?;
        Ok(directory)
    })
    .await
    .map_err(|stopped| Error::Io { what: "stopped".to_owned(), source: stopped.into() })?
}

/// Returns the archive and creates it if necessary. Concurrent test processes wait for the first
/// one.
fn archive(account: Option<Account>) -> Result<PathBuf> {
    let place = std::env::temp_dir().join(format!("picarcade-postgres-{}", Uid::effective()));
    let failed = || Error::io(format!("cannot use {}", place.display()));
    std::fs::create_dir_all(&place).map_err(failed())?;
    let owner = std::fs::symlink_metadata(&place).map_err(failed())?;
    if !owner.is_dir() || owner.uid() != Uid::effective().as_raw() {
        return Err(Error::Io {
            what: format!("{} is another's", place.display()),
            source: std::io::ErrorKind::PermissionDenied.into(),
        });
    }
    let archive = place.join(format!("{:016x}.tar", key(account)?));
    let lock = File::create(archive.with_extension("lock")).map_err(failed())?;
    lock.lock().map_err(failed())?;
    if !archive.exists() {
        let made = make(account)?;
        let fresh = archive.with_extension("new");
        let mut pack = Command::new("tar");
        pack.arg("-cf").arg(&fresh).arg("-C").arg(made.path()).arg("pgdata");
        run("tar", &mut pack)?;
        std::fs::rename(&fresh, &archive).map_err(failed())?;
    }
    Ok(archive)
}

/// What the archive depends on: the program, the user, and the arguments.
fn key(account: Option<Account>) -> Result<u64> {
    let program = program::postgres("postgres")?;
    let version = |it: Metadata| (it.ino(), it.len(), it.mtime());
    let mut hasher = DefaultHasher::new();
    std::fs::metadata(&program).map(version).ok().hash(&mut hasher);
    (program, account.map(Account::uid), INITDB, statements()).hash(&mut hasher);
    Ok(hasher.finish())
}

/// Statements that run without a server, one per line.
fn statements() -> String {
    format!(
        "CREATE ROLE {OWNER} LOGIN CREATEDB PASSWORD '{PASSWORD}'\nCREATE DATABASE {OWNER} OWNER {OWNER}\n"
    )
}

fn make(account: Option<Account>) -> Result<TempDir> {
    let directory = Run::current()?.directory("postgres-template", account.as_ref())?;
    let pgdata = directory.path().join("pgdata");
    let password = write(directory.path(), "password", PASSWORD, account)?;
    let mut initdb = Command::new(program::postgres("initdb")?);
    initdb
        .args(INITDB)
        .arg(format!("--username={SUPERUSER}"))
        .arg("--pwfile")
        .arg(&password)
        .arg("--pgdata")
        .arg(&pgdata)
        .current_dir(directory.path());
    run_as("initdb", &mut initdb, account)?;

    let statements = write(directory.path(), "statements", &statements(), account)?;
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

/// Runs a program to its end. If it fails, the error contains its output.
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
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    Err(Error::Failed { program, status: output.status, output: text.into_owned() })
}
