//! A PostgreSQL of the test's own, which may die: the one that tests share may not.
//!
//! Unlike that one it syncs what it commits. It is of the newest version in Debian's folder.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where Debian puts PostgreSQL, one folder a version.
const DEBIAN: &str = "/usr/lib/postgresql";
const USER: &str = "postgres";

/// A server that runs; ended when dropped.
pub struct OwnPostgres {
    folder: tempfile::TempDir,
    programs: PathBuf,
    /// How a superuser reaches it.
    pub url: String,
}

impl OwnPostgres {
    /// Starts it; nothing where this machine has none.
    pub fn start() -> Option<Self> {
        let versions = Path::new(DEBIAN).read_dir().ok()?.flatten();
        let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
        let newest = versions.map(|entry| entry.path()).max_by_key(number)?;
        let port = free_port();
        let own = Self {
            folder: tempfile::tempdir().unwrap(),
            programs: newest.join("bin"),
            url: format!("postgres://{USER}@127.0.0.1:{port}/postgres"),
        };
        if is_root() {
            let mut chown = Command::new("chown");
            run(chown.arg(USER).arg(own.folder.path()));
        }
        let mut initdb = own.program("initdb");
        run(initdb.args(["-A", "trust", "-U", USER, "-E", "UTF8", "--locale=C.UTF-8"]));
        let settings = own.folder.path().join("data/postgresql.conf");
        let said = std::fs::read_to_string(&settings).unwrap();
        let ours = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nmax_connections = 100\n\
             unix_socket_directories = ''\n"
        );
        std::fs::write(&settings, said + &ours).unwrap();
        own.go();
        Some(own)
    }

    /// Has it die as in a crash, and come back.
    pub fn crash(&self) {
        self.end("immediate");
        self.go();
    }

    fn go(&self) {
        let log = self.folder.path().join("log");
        let mut start = self.program("pg_ctl");
        run(start.args(["-w", "start", "-l"]).arg(log));
    }

    fn end(&self, how: &str) {
        run(self.program("pg_ctl").args(["-w", "-m", how, "stop"]));
    }

    /// A program over the data, as the user that the server runs as: it refuses root.
    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", USER, "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .current_dir(self.folder.path());
        command
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        let mut stop = self.program("pg_ctl");
        let _ = stop.args(["-w", "-m", "immediate", "stop"]).output();
    }
}

/// A port that nobody listens on, and that the system gives to no connection: while the server is
/// down nobody else is to have it.
pub fn free_port() -> u16 {
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let mut ports = first..first + 1_000;
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.find(is_free).unwrap()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn run(command: &mut Command) {
    command.stdout(Stdio::null());
    assert!(command.status().unwrap().success(), "{command:?}");
}
