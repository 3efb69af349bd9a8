//! A server that is measured: the command as it is shipped, a process of its own on loopback.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::usage::Process;
use serde_json::Value;

use crate::Fault;
use crate::http::{Connection, get};

/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Builds the command; where it is.
///
/// # Errors
/// When it cannot be built.
pub fn build(profile: &str) -> Result<PathBuf, Fault> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--package", "indelible-cli", "--profile", profile])
        .args(["--message-format", "json-render-diagnostics"])
        .arg("--manifest-path")
        .arg(manifest)
        .stderr(Stdio::inherit())
        .output()?;
    if !built.status.success() {
        return Err(format!("the server could not be built: {}", built.status).into());
    }
    let messages = String::from_utf8(built.stdout)?;
    let program = messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message["executable"].as_str()?))
    });
    program.ok_or_else(|| "cargo does not say where the server is".into())
}

fn serving(program: &Path, data: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--data"]);
    command.arg(data);
    command
}

/// A server that runs; it is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    memory: Option<Watch>,
}

impl Running {
    /// Starts the command on this data directory.
    ///
    /// # Errors
    /// When it does not start.
    pub fn serve(program: &Path, data: &Path) -> Result<Self, Fault> {
        Self::start(serving(program, data))
    }

    /// Starts the command on a database, with what it keeps beside it below `dir`, keys among it.
    ///
    /// # Errors
    /// When it does not start.
    pub fn serve_database(program: &Path, url: &str, dir: &Path) -> Result<Self, Fault> {
        let mut command = serving(program, &dir.join("beside"));
        command.arg("--keys").arg(dir.join("keys"));
        command.env("INDELIBLE_LEDGER", url);
        Self::start(command)
    }

    /// Starts a command that says on its first line, in JSON, where it listens.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(mut command: Command) -> Result<Self, Fault> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        let said: Option<Value> = serde_json::from_str(&line).ok();
        let url = said.as_ref().and_then(|said| said["listening"].as_str());
        let address = url.and_then(|url| url.strip_prefix("http://")?.parse().ok());
        let Some(address) = address else {
            child.kill()?;
            child.wait()?;
            return Err(format!("the server did not start: {line}").into());
        };
        let memory = Watch::start(Process::Other(child.id()))?;
        Ok(Self {
            child,
            address,
            memory: Some(memory),
        })
    }

    /// Its process.
    pub fn process(&self) -> Process {
        Process::Other(self.child.id())
    }

    /// Records in all logs, as it says itself.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn records(&self) -> Result<u64, Fault> {
        let mut connection = Connection::open(self.address)?;
        let (mut records, mut next) = (0, "/v1/tenants?limit=1000".to_owned());
        loop {
            let (status, body) = connection.ask(&get(&next))?;
            let said: Value = serde_json::from_slice(body)?;
            let tenants = said["tenants"].as_array().filter(|_| status == 200);
            let tenants = tenants.ok_or("the server does not list its tenants")?;
            let sizes = tenants.iter().filter_map(|t| t["records"].as_u64());
            records += sizes.sum::<u64>();
            // A name needs no escaping in a URL.
            match said["next_cursor"].as_str() {
                Some(cursor) => next = format!("/v1/tenants?limit=1000&cursor={cursor}"),
                None => return Ok(records),
            }
        }
    }

    /// The most memory it held at once, files mapped into it not counted, in bytes; ends the watch.
    ///
    /// # Errors
    /// When it was asked for before, or the system does not tell.
    pub fn peak_memory(&mut self) -> Result<u64, Fault> {
        let watch = self.memory.take();
        watch.ok_or("the memory was asked for before")?.stop()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.memory.take().map(Watch::stop));
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A thread that looks at a process's memory every now and then.
#[derive(Debug)]
struct Watch {
    peak: Arc<AtomicU64>,
    ends: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Watch {
    fn start(process: Process) -> Result<Self, Fault> {
        let (peak, ends) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (seen, end) = (Arc::clone(&peak), Arc::clone(&ends));
        let thread = std::thread::Builder::new().spawn(move || {
            while !end.load(Ordering::Relaxed) {
                seen.fetch_max(process.memory().unwrap_or_default(), Ordering::Relaxed);
                std::thread::sleep(LOOK_EVERY);
            }
        })?;
        Ok(Self { peak, ends, thread })
    }

    fn stop(self) -> Result<u64, Fault> {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the watch panicked")?;
        match self.peak.load(Ordering::Relaxed) {
            0 => Err("the system does not tell the memory".into()),
            peak => Ok(peak),
        }
    }
}
