//! What the tests need from the machine: Redis with TLS, the server of PostgreSQL, pgbouncer,
//! promtool; for the checks also rustfmt, clippy, and for the clients Python and Node.
//!
//! The check takes a fraction of a second. As root on Debian, missing packages are installed
//! without starting services. Otherwise one line names what to install.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::step::{cargo, execute, step};

/// A requirement and its Debian package.
struct Need {
    what: &'static str,
    package: &'static str,
    is_there: fn() -> bool,
}

const NEEDS: [Need; 4] = [
    Need { what: "redis-server 7 or newer, with TLS", package: "redis-server", is_there: redis },
    Need { what: "the server programs of PostgreSQL 14 or newer", package: "postgresql", is_there: postgres },
    Need { what: "pgbouncer", package: "pgbouncer", is_there: || on_path("pgbouncer").is_some() },
    Need { what: "promtool", package: "prometheus", is_there: || on_path("promtool").is_some() },
];

/// What the check of the generated clients needs.
const CLIENT_NEEDS: [Need; 3] = [
    Need { what: "python3 3.11 or newer, with venv", package: "python3-venv", is_there: python },
    Need { what: "node 20 or newer", package: "nodejs", is_there: || on_path("node").is_some() },
    Need { what: "npm", package: "npm", is_there: || on_path("npm").is_some() },
];

/// Prevents Debian packages from starting their services.
const POLICY: &str = "/usr/sbin/policy-rc.d";

fn look(needs: &[Need]) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !(need.is_there)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let whats: Vec<_> = missing.iter().map(|need| need.what).collect();
    let packages: Vec<_> = missing.iter().map(|need| need.package).collect();
    if !(is_root() && on_path("apt-get").is_some()) {
        bail!("please install {} (Debian: apt-get install {})", whats.join("; "), packages.join(" "));
    }
    install(&packages)?;
    if let Some(need) = needs.iter().find(|need| !(need.is_there)()) {
        bail!("{} is still missing after the installation of {}", need.what, need.package);
    }
    Ok(())
}

pub(crate) fn run() -> Result<()> {
    step("setup", || look(&NEEDS))
}

/// Looks for what the check of the generated clients needs, like [`run`].
pub(crate) fn clients() -> Result<()> {
    look(&CLIENT_NEEDS)
}

/// Installs rustfmt and clippy, which a minimal toolchain lacks.
pub(crate) fn components() -> Result<()> {
    for (command, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        let mut ask = cargo();
        ask.args([command, "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
        if !ask.status().is_ok_and(|status| status.success()) {
            execute(Command::new("rustup").args(["component", "add", component]))
                .with_context(|| format!("please install {component}"))?;
        }
    }
    Ok(())
}

fn install(packages: &[&str]) -> Result<()> {
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        apt
    };
    let _quiet = NoServices::begin()?;
    execute(apt().args(["update", "-q"]))?;
    execute(apt().args(["install", "-q", "-y", "--no-install-recommends"]).args(packages))
}

/// While this value lives, packages do not start services. An existing policy stays unchanged.
struct NoServices {
    ours: bool,
}

impl NoServices {
    fn begin() -> Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        if Path::new(POLICY).exists() {
            return Ok(Self { ours: false });
        }
        fs::write(POLICY, "#!/bin/sh\nexit 101\n").context("cannot write the policy for services")?;
        let guard = Self { ours: true };
        fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))
            .context("cannot write the policy for services")?;
        Ok(guard)
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(POLICY);
        }
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// A Redis without TLS does not know the setting. One with TLS and nothing to listen to reports
/// that and ends. Older versions do not know the third setting.
fn redis() -> bool {
    let Some(program) = on_path("redis-server") else { return false };
    Command::new(program)
        .args([
            "--port",
            "0",
            "--tls-port",
            "0",
            "--enable-debug-command",
            "yes",
            "--save",
            "",
            "--logfile",
            "",
        ])
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("not listen anywhere"))
}

/// Debian's Python has no `ensurepip` without the package.
fn python() -> bool {
    let program = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))";
    Command::new("python3").args(["-c", program]).stderr(Stdio::null()).status().is_ok_and(|it| it.success())
}

fn postgres() -> bool {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    debian
        .filter(|entry| {
            entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()).is_some_and(|it| it >= 14)
        })
        .any(|entry| {
            ["initdb", "postgres", "psql"].iter().all(|name| entry.path().join("bin").join(name).is_file())
        })
        || ["initdb", "postgres", "psql"].iter().all(|name| on_path(name).is_some())
}

/// Finds the program with this name, also on the path of root.
fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|place| place.join(program))
        .find(|candidate| candidate.is_file())
}
