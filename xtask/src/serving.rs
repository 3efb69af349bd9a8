//! Programs of ours that listen, started for a check: the server on a ledger made anew, and
//! examples.
//!
//! Both say `listening on ADDRESS` in their first line, and end with their owner.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use crate::tools::{Stop, succeed};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A directory below `target/` with nothing in it.
pub struct Place {
    binary: PathBuf,
    /// The directory.
    pub path: PathBuf,
}

impl Place {
    /// Makes it anew.
    pub fn make(root: &Path, name: &str) -> Result<Self, Stop> {
        let path = root.join("target").join(name);
        let cannot = |error| Stop::Failed(format!("cannot prepare {}: {error}", path.display()));
        if path.exists() {
            fs::remove_dir_all(&path).map_err(cannot)?;
        }
        fs::create_dir_all(&path).map_err(cannot)?;
        Ok(Self {
            binary: root.join("target/debug/indelible"),
            path,
        })
    }

    /// The command `indelible`, with nothing of the surroundings.
    pub fn indelible(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(&self.binary);
        command.args(arguments);
        command
    }

    /// Another program, alike.
    pub fn program(&self, binary: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(binary);
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("INDELIBLE_") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(&self.path)
            .env("HOME", &self.path)
            .env("XDG_CONFIG_HOME", &self.path);
        command
    }

    /// Serves the ledger `data` in it.
    pub fn serve(&self) -> Result<Serving, Stop> {
        let arguments = ["serve", "--data", "data", "--listen", "127.0.0.1:0"];
        let telemetry = fs::File::create(self.path.join("telemetry.ndjson"));
        let telemetry =
            telemetry.map_err(|error| Stop::Failed(format!("cannot serve: {error}")))?;
        Serving::start(self.indelible(&arguments).stderr(telemetry))
    }
}

/// A program that listens; it ends with its owner.
pub struct Serving {
    child: Child,
    /// Where it listens, as it says it.
    pub url: String,
}

impl Serving {
    /// Starts it. Its standard input is open for as long as it runs.
    pub fn start(command: &mut Command) -> Result<Self, Stop> {
        let failed = |text: String| Stop::Failed(format!("cannot serve: {text}"));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            let read = BufReader::new(output).read_line(&mut line);
            read.map_err(|error| failed(error.to_string()))?;
        }
        let mut serving = Self {
            child,
            url: String::new(),
        };
        match line.trim().strip_prefix("listening on ") {
            Some(url) => url.clone_into(&mut serving.url),
            None => return Err(failed(format!("it said {line:?}"))),
        }
        Ok(serving)
    }

    /// What it answers, which must be a success; a body is JSON.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Result<String, Stop> {
        let address = self.url.trim_start_matches("http://");
        let failed = |error: std::io::Error| Stop::Failed(format!("{method} {path}: {error}"));
        let mut stream = TcpStream::connect(address).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nx-user: ada\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + body).as_bytes()).map_err(failed)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(failed)?;
        match answer.split_once("\r\n\r\n") {
            Some((head, body)) if head.starts_with("HTTP/1.1 2") => Ok(body.to_owned()),
            _ => Err(Stop::Failed(format!("{method} {path}: {answer}"))),
        }
    }

    /// Ends it as Ctrl-C does, which it must do well.
    pub fn stop(&mut self) -> Result<(), Stop> {
        let pid = self.child.id().to_string();
        succeed(Command::new("kill").args(["-INT", &pid]))?;
        match self.child.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Stop::Failed(format!("the server ended with {status}"))),
            Err(error) => Err(Stop::Failed(format!("the server: {error}"))),
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // After `stop` there is nobody left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
