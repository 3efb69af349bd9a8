//! A PostgreSQL of the test's own, which may die: the one that tests share may not.
//!
//! Unlike that one it syncs what it commits. It is of the newest version in Debian's folder, or an
//! installation of the test's own, to which extensions can be added.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

/// Where Debian puts PostgreSQL, one folder a version: its programs, and what they read.
const DEBIAN: [&str; 2] = ["/usr/lib/postgresql", "/usr/share/postgresql"];
const USER: &str = "postgres";

/// A server that runs; ended when dropped.
pub struct OwnPostgres {
    folder: tempfile::TempDir,
    programs: PathBuf,
    /// How a superuser reaches it.
    pub url: String,
}

/// A copy of Debian's installation: PostgreSQL finds what it reads from where its program lies.
pub struct Installation {
    root: tempfile::TempDir,
    version: String,
}

impl Installation {
    /// Copies it; nothing where this machine has none.
    pub fn copy() -> Option<Self> {
        let version = newest()?;
        let root = tempfile::tempdir().unwrap();
        for folder in DEBIAN.map(|folder| Path::new(folder).join(&version)) {
            let to = root
                .path()
                .join(folder.parent().unwrap().strip_prefix("/").unwrap());
            std::fs::create_dir_all(&to).unwrap();
            run(Command::new("cp").arg("-a").arg(&folder).arg(&to));
        }
        run(Command::new("chmod").arg("755").arg(root.path()));
        Some(Self { root, version })
    }

    /// Where extensions are described.
    pub fn extensions(&self) -> PathBuf {
        self.in_copy(DEBIAN[1]).join("extension")
    }

    /// Starts a server of it.
    pub fn start(&self) -> OwnPostgres {
        OwnPostgres::of(
            self.in_copy(DEBIAN[0]).join("bin"),
            tempfile::tempdir().unwrap(),
        )
    }

    fn in_copy(&self, folder: &str) -> PathBuf {
        let folder = Path::new(folder).join(&self.version);
        self.root.path().join(folder.strip_prefix("/").unwrap())
    }
}

impl OwnPostgres {
    /// Starts it; nothing where this machine has none.
    pub fn start() -> Option<Self> {
        Self::start_in(tempfile::tempdir().unwrap())
    }

    /// As [`start`](Self::start), with its data in a folder.
    pub fn start_in(folder: tempfile::TempDir) -> Option<Self> {
        let programs = Path::new(DEBIAN[0]).join(newest()?).join("bin");
        Some(Self::of(programs, folder))
    }

    fn of(programs: PathBuf, folder: tempfile::TempDir) -> Self {
        let port = free_port();
        let own = Self {
            folder,
            programs,
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
        own
    }

    /// Starts it where it has ended by itself.
    pub fn start_again(&self) {
        let mut status = self.program("pg_ctl");
        if !status.arg("status").output().unwrap().status.success() {
            self.go();
        }
    }

    /// What it told of itself.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
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

/// The newest version in Debian's folder.
fn newest() -> Option<String> {
    let versions = Path::new(DEBIAN[0]).read_dir().ok()?.flatten();
    let names = versions.filter_map(|entry| entry.file_name().into_string().ok());
    names.max_by_key(|name| name.parse::<u32>().ok())
}

/// A port that nobody listens on, and that the system gives to no connection: while the server is
/// down nobody else is to have it. Servers of one process look from a hundred on.
pub fn free_port() -> u16 {
    static STARTED: AtomicU16 = AtomicU16::new(0);
    let nth = STARTED.fetch_add(1, Ordering::Relaxed) % 10;
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap() + nth * 100;
    let mut ports = first..first + 100;
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
