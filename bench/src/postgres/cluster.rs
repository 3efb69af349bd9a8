//! A PostgreSQL of this program's own, on the disk that is measured: it syncs what it commits.
//!
//! It is of the newest version in Debian's folder, and has the memory that a server for this alone
//! would be given. Where root starts it, it runs as the user `postgres`, since PostgreSQL refuses
//! root.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use indelible_bench::Fault;
use indelible_bench::scratch::Scratch;
use indelible_bench::usage::Process;
use indelible_postgres::{Fresh, Options, Postgres};
use tokio_postgres::{Client, NoTls};

/// Where Debian puts PostgreSQL, one folder a version.
const DEBIAN: &str = "/usr/lib/postgresql";
const USER: &str = "postgres";
/// What somebody sets who gives a machine of 24 GiB to it; the rest is as it comes.
const SETTINGS: &str = "\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_buffers = 2GB
max_wal_size = 8GB
checkpoint_timeout = 15min
";

/// A server that runs; it is ended when this is dropped.
pub struct Cluster {
    folder: PathBuf,
    programs: PathBuf,
    url: String,
    /// The number of its first process, whose children the others are.
    process: u32,
}

impl Cluster {
    /// Makes and starts it.
    pub fn start(scratch: &Scratch) -> Result<Self, Fault> {
        let programs = newest().ok_or("no PostgreSQL below /usr/lib/postgresql")?;
        let folder = scratch.place("postgres");
        std::fs::create_dir(&folder)?;
        if is_root() {
            run(Command::new("chown").arg(USER).arg(&folder))?;
            // Its user comes through, and sees nothing else.
            std::fs::set_permissions(scratch.path(), PermissionsExt::from_mode(0o711))?;
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut cluster = Self {
            folder: folder.canonicalize()?,
            programs,
            url: format!("postgres://{USER}@127.0.0.1:{port}/"),
            process: 0,
        };
        let mut initdb = cluster.program("initdb");
        run(initdb.args(["-A", "trust", "-U", USER, "-E", "UTF8", "--locale=C.UTF-8"]))?;
        let settings = cluster.data().join("postgresql.conf");
        let said = std::fs::read_to_string(&settings)?;
        std::fs::write(&settings, format!("{said}{SETTINGS}port = {port}\n"))?;
        let log = cluster.folder.join("log");
        run(cluster
            .program("pg_ctl")
            .args(["-w", "start", "-l"])
            .arg(log))?;
        let pid = std::fs::read_to_string(cluster.data().join("postmaster.pid"))?;
        cluster.process = pid.lines().next().unwrap_or_default().trim().parse()?;
        Ok(cluster)
    }

    /// All its processes.
    pub fn processes(&self) -> Process {
        Process::Family(self.process)
    }

    /// An empty database.
    pub fn database(&self, name: &str) -> Result<Database, Fault> {
        let mut maintenance = Database::connect(&format!("{}postgres", self.url))?;
        maintenance.execute(&format!("CREATE DATABASE {name}"))?;
        Database::connect(&format!("{}{name}", self.url))
    }

    /// Leaves nothing of a database for what is measured next: no pages to be written, and no rows
    /// for the autovacuum.
    pub fn forget(&self, name: &str) -> Result<(), Fault> {
        let mut maintenance = Database::connect(&format!("{}postgres", self.url))?;
        maintenance.execute(&format!("DROP DATABASE {name} WITH (FORCE)"))?;
        maintenance.execute("CHECKPOINT")
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", USER, "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.arg("-D").arg(self.data()).current_dir(&self.folder);
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut stop = self.program("pg_ctl");
        let _ = stop.args(["-w", "-m", "immediate", "stop"]).output();
    }
}

/// A database, and a connection to it as its owner.
pub struct Database {
    /// How it is reached.
    pub url: String,
    /// The connection.
    pub client: Client,
    /// What the connection lives on.
    pub runtime: tokio::runtime::Runtime,
}

impl Database {
    fn connect(url: &str) -> Result<Self, Fault> {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build()?;
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
            // It ends with the client.
            tokio::spawn(connection);
            Ok::<_, Fault>(client)
        })?;
        Ok(Self {
            url: url.to_owned(),
            client,
            runtime,
        })
    }

    /// Opens it as a ledger, which is made.
    pub fn ledger(&self) -> Result<Arc<Postgres>, Fault> {
        let fresh = || {
            Ok(Fresh {
                id: [5; 16],
                term_key: [6; 16],
            })
        };
        Ok(Arc::new(Postgres::open(&Options::new(&*self.url), fresh)?))
    }

    /// Runs statements.
    pub fn execute(&mut self, statements: &str) -> Result<(), Fault> {
        let done = self.runtime.block_on(self.client.batch_execute(statements));
        // By itself it says no more than that the database refused.
        Ok(done.map_err(|error| format!("{statements}: {:?}", error.as_db_error()))?)
    }

    /// A number that is read.
    pub fn number(&self, query: &str) -> Result<u64, Fault> {
        let row = self.runtime.block_on(self.client.query_one(query, &[]))?;
        Ok(u64::try_from(row.try_get::<_, i64>(0)?)?)
    }
}

fn newest() -> Option<PathBuf> {
    let versions = Path::new(DEBIAN).read_dir().ok()?.flatten();
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.map(|entry| entry.path()).max_by_key(number)?;
    Some(newest.join("bin"))
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn run(command: &mut Command) -> Result<(), Fault> {
    let status = command.stdout(Stdio::null()).status()?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {status}").into())
}
