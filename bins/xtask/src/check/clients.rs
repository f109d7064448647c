//! Clients that common generators make of the description of the API: one in Python, one in
//! TypeScript. Both are generated, type-checked, and call the running service.
//!
//! The programs in `clients/` next to `src` are the callers. The versions of all tools are in the
//! lists next to them. Everything is installed and generated below `target/clients`, and installed
//! again only after a list has changed. A warning of a generator fails the check, because it means
//! that a part of the API is missing in the client.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::metadata::Metadata;
use crate::setup;
use crate::step::{cargo, execute, root};

/// The key of the API with which the clients call.
const KEY: &str = "key-of-the-generated-clients";

/// Fails with the output of the first command that finds a fault.
pub(crate) fn check(metadata: &Metadata) -> Result<()> {
    setup::clients()?;
    let clients = Clients {
        sources: root().join("bins/xtask/clients"),
        document: root().join("docs/openapi.json"),
        target: metadata.target_directory.join("clients"),
    };
    clients.python()?;
    clients.typescript()?;
    execute(cargo().args(["build", "--package", "picarcade", "--quiet"]))?;
    let program = metadata.target_directory.join("debug/picarcade");
    let service = Service::start(&program, &clients.target.join("data"))?;
    let call = |program: &Path, script: &Path| {
        println!("   calls of {}", script.display());
        execute(Command::new(program).arg(script).args([&*service.url, KEY]).arg(&clients.document))
    };
    call(&clients.target.join("venv/bin/python"), &clients.target.join("python/check.py"))?;
    call(Path::new("node"), &clients.target.join("typescript/build/check.js"))
}

struct Clients {
    /// The callers and the lists of tools.
    sources: PathBuf,
    /// The description of the API.
    document: PathBuf,
    target: PathBuf,
}

impl Clients {
    /// Generates the Python client and checks its types.
    fn python(&self) -> Result<()> {
        println!("   Python client");
        let (venv, package) = (self.target.join("venv"), self.target.join("python"));
        let requirements = self.sources.join("requirements.txt");
        install_once(&requirements, &venv.join("installed"), || {
            execute(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
            let mut pip = Command::new(venv.join("bin/pip"));
            pip.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"]);
            execute(pip.arg(&requirements))
        })?;
        fs::create_dir_all(&package).context("cannot create the folder of the client")?;
        copy(&self.sources, &package, &["check.py"])?;
        let generated = package.join("picarcade_client");
        if generated.exists() {
            fs::remove_dir_all(&generated).context("cannot remove the client of the last run")?;
        }
        // The generator calls its formatter by name.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([venv.join("bin")].into_iter().chain(std::env::split_paths(&path)))?;
        let mut generator = Command::new(venv.join("bin/openapi-python-client"));
        generator.args(["generate", "--meta", "none", "--fail-on-warning", "--output-path"]);
        generator.arg(generated).arg("--path").arg(&self.document);
        execute(generator.env("PATH", path))?;
        // The base of the client is the generator's own and does not pass, so imports are silent.
        let mut mypy = Command::new(venv.join("bin/mypy"));
        mypy.args(["--strict", "--follow-imports=silent", "check.py"]);
        execute(mypy.args(["picarcade_client/api", "picarcade_client/models"]).current_dir(&package))
    }

    /// Generates the TypeScript client, checks its types and compiles its caller.
    fn typescript(&self) -> Result<()> {
        println!("   TypeScript client");
        let package = self.target.join("typescript");
        fs::create_dir_all(&package).context("cannot create the folder of the client")?;
        copy(&self.sources, &package, &["package.json", "package-lock.json", "tsconfig.json", "check.ts"])?;
        install_once(&package.join("package-lock.json"), &package.join("installed"), || {
            let mut npm = Command::new("npm");
            execute(npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&package))
        })?;
        let tool = |name: &str| Command::new(package.join("node_modules/.bin").join(name));
        execute(tool("openapi-typescript").arg(&self.document).arg("-o").arg(package.join("schema.ts")))?;
        execute(tool("tsc").current_dir(&package))
    }
}

/// Runs an installation unless the last one had the same list.
fn install_once(list: &Path, stamp: &Path, install: impl FnOnce() -> Result<()>) -> Result<()> {
    let wanted = fs::read(list).with_context(|| format!("cannot read {}", list.display()))?;
    if fs::read(stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    install()?;
    fs::write(stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

fn copy(from: &Path, to: &Path, names: &[&str]) -> Result<()> {
    for name in names {
        fs::copy(from.join(name), to.join(name)).with_context(|| format!("cannot copy {name}"))?;
    }
    Ok(())
}

/// The service on a free port, with an empty data directory. It ends when this is dropped.
struct Service {
    child: Child,
    url: String,
}

impl Service {
    fn start(program: &Path, data: &Path) -> Result<Self> {
        if data.exists() {
            fs::remove_dir_all(data).context("cannot empty the data directory")?;
        }
        let mut command = Command::new(program);
        command.args(["serve", "--listen", "127.0.0.1:0"]).env_clear();
        command.env("PICARCADE_DATA_DIR", data).env("PICARCADE_API_KEYS", format!("clients:{KEY}"));
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().context("cannot start the service")?;
        let mut service = Self { child, url: String::new() };
        let mut log = BufReader::new(service.child.stderr.take().context("the service has no log")?);
        let mut lines = String::new();
        while service.url.is_empty() {
            let begin = lines.len();
            if log.read_line(&mut lines).context("cannot read the log of the service")? == 0 {
                bail!("the service ended:\n{lines}");
            }
            let record: Value =
                lines.get(begin..).and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
            if let (Some("listening"), Some(address)) =
                (record["message"].as_str(), record["address"].as_str())
            {
                service.url = format!("http://{address}");
            }
        }
        // The log is read to its end, because the service would block on a full pipe.
        std::thread::spawn(move || io::copy(&mut log, &mut io::sink()));
        Ok(service)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
