//! Servers that tests run against: real ones, on loopback, in temporary folders, ended by their
//! process ids. PostgreSQL so far.
//!
//! `cargo xtask services up` leaves one file behind, [`FILE`], that says where they are. Tests are
//! told by an environment variable and skip themselves by name without it.
//!
//! Trust and durability: anybody on this machine may use these servers, and they keep nothing over
//! a power loss (`fsync=off`). They are for tests alone.

#![expect(clippy::print_stdout, reason = "a command line speaks to its user")]

use std::{
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::tools::{Stop, said, succeed};

/// Says where the servers are, below `target/`.
const FILE: &str = "services.json";
/// Names PostgreSQL's address for tests, which is a superuser's.
pub const TEST_POSTGRES: &str = "INDELIBLE_TEST_POSTGRES";
/// Where Debian puts PostgreSQL, one folder a version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// The oldest version of PostgreSQL that the product takes.
const MAJOR_MIN: u32 = 15;
/// Debian's package: the version of the distribution.
const PACKAGE: &str = "postgresql";
/// Who a server runs as where root starts it, since PostgreSQL refuses root.
const USER: &str = "postgres";
/// How long a server may take to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// The role whose password is asked for; everybody else is let in.
const ROLE_WITH_PASSWORD: &str = "with_password";
/// What has openssl make a certificate and its key, in the folder it runs in.
const CERTIFICATE: &str = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
    -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
    -addext basicConstraints=critical,CA:FALSE -keyout server.key -out server.crt";
/// Many tests run at once, each with a few connections; none needs its data after a power loss.
const SETTINGS: &str = "\
listen_addresses = '127.0.0.1'
max_connections = 300
max_locks_per_transaction = 128
fsync = off
full_page_writes = off
ssl = on
ssl_cert_file = 'server.crt'
ssl_key_file = 'server.key'
log_min_messages = warning
";

/// A server that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// How to reach it.
    pub url: String,
    /// What it calls itself.
    pub version: String,
    pid: u32,
    folder: PathBuf,
}

/// Starts what does not run yet, installing what is missing.
///
/// # Errors
/// [`Stop::Missing`] when the machine lacks it and we may not install.
pub fn up(root: &Path) -> Result<Service, Stop> {
    if let Some(running) = running(root) {
        return Ok(running);
    }
    let programs = programs()?;
    let folder = env::temp_dir().join(format!("indelible-postgres-{}", std::process::id()));
    let cannot = |error| Stop::Failed(format!("cannot prepare {}: {error}", folder.display()));
    fs::create_dir(&folder).map_err(cannot)?;
    if is_root() {
        succeed(Command::new("chown").arg(USER).arg(&folder))?;
    }
    let service = start(&programs, folder.clone()).inspect_err(|_| {
        // What never ran is of no use to anybody; the reason has been said.
        let _ = fs::remove_dir_all(&folder);
    })?;
    let written = json!({"postgres": {
        "folder": service.folder,
        "pid": service.pid,
        "url": service.url,
        "version": service.version,
    }});
    write(&file(root), &format!("{written:#}\n"))?;
    Ok(service)
}

/// Ends what runs; `None` when nothing does.
///
/// # Errors
/// When it does not end.
pub fn down(root: &Path) -> Result<Option<Service>, String> {
    let Some(service) = running(root) else {
        return Ok(None);
    };
    // The fast end: sessions are closed, what is committed is written.
    succeed(Command::new("kill").args(["-INT", &service.pid.to_string()]))?;
    let since = Instant::now();
    // Its file goes last; the process may be left for somebody to wait for.
    while pid_in(&service.folder).is_some() && is_alive(service.pid) {
        if since.elapsed() > PATIENCE {
            return Err(format!("process {} does not end", service.pid));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let gone = fs::remove_dir_all(&service.folder).and_then(|()| fs::remove_file(file(root)));
    gone.map_err(|error| format!("cannot remove {}: {error}", service.folder.display()))?;
    Ok(Some(service))
}

/// What runs, as the file says and as is so.
pub fn running(root: &Path) -> Option<Service> {
    let service = service_in(&fs::read_to_string(file(root)).ok()?)?;
    // The number of a process may be another's by now; the server's own file has it too.
    let ours = pid_in(&service.folder).is_some_and(|pid| pid == service.pid);
    (ours && is_alive(service.pid)).then_some(service)
}

/// Prints where a server is.
pub fn tell(service: &Service) {
    let Service {
        url,
        version,
        pid,
        folder,
    } = service;
    println!("{version}: process {pid}, {}", folder.display());
    println!("export {TEST_POSTGRES}={url}");
}

fn service_in(text: &str) -> Option<Service> {
    let all: Value = serde_json::from_str(text).ok()?;
    let text = |name: &str| all["postgres"][name].as_str().map(str::to_owned);
    Some(Service {
        url: text("url")?,
        version: text("version")?,
        pid: all["postgres"]["pid"].as_u64()?.try_into().ok()?,
        folder: text("folder")?.into(),
    })
}

fn file(root: &Path) -> PathBuf {
    root.join("target").join(FILE)
}

fn start(programs: &Path, folder: PathBuf) -> Result<Service, Stop> {
    let data = folder.join("data");
    let mut initdb = as_server(&programs.join("initdb"), &folder);
    initdb.arg("-D").arg(&data);
    initdb.args(["-A", "trust", "-U", USER, "--no-sync", "-E", "UTF8"]);
    succeed(initdb.arg("--locale=C.UTF-8").stdout(Stdio::null()))?;
    // For a day or two and this machine alone. PostgreSQL of Debian's brings openssl with it.
    let mut certificate = as_server(Path::new("openssl"), &data);
    certificate
        .args(CERTIFICATE.split(' '))
        .stderr(Stdio::null());
    succeed(&mut certificate).map_err(|failure| format!("openssl: {failure}"))?;
    let port = free_port()?;
    let sockets = format!(
        "port = {port}\nunix_socket_directories = '{}'\n",
        folder.display()
    );
    // The first rule that fits decides.
    let hba = data.join("pg_hba.conf");
    let others = read(&hba)?;
    let asked = format!("host all {ROLE_WITH_PASSWORD} 127.0.0.1/32 scram-sha-256\n");
    write(&hba, &(asked + &others))?;
    let settings = data.join("postgresql.conf");
    write(&settings, &(read(&settings)? + SETTINGS + &sockets))?;
    let mut ctl = as_server(&programs.join("pg_ctl"), &folder);
    ctl.arg("-D").arg(&data).arg("-l").arg(folder.join("log"));
    succeed(ctl.args(["-w", "start"]).stdout(Stdio::null())).map_err(|failure| {
        let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
        format!("pg_ctl: {failure}\n{log}")
    })?;
    let pid = pid_in(&folder).ok_or_else(|| "PostgreSQL left no postmaster.pid".to_owned())?;
    Ok(Service {
        url: format!("postgres://{USER}@127.0.0.1:{port}/postgres"),
        version: version_in(&said(
            Command::new(programs.join("postgres")).arg("--version"),
        )?),
        pid,
        folder,
    })
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// A command as the user the server runs as, in a folder that is theirs.
fn as_server(program: &Path, folder: &Path) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", USER, "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir(folder);
    command
}

/// Where PostgreSQL's programs are, installed first where they are missing.
fn programs() -> Result<PathBuf, Stop> {
    if let Some(found) = newest(Path::new(DEBIAN)) {
        return Ok(found);
    }
    let missing = || {
        Stop::Missing(format!(
            "no PostgreSQL {MAJOR_MIN} or newer: apt-get install {PACKAGE}"
        ))
    };
    if !is_root() || said(Command::new("apt-get").arg("--version")).is_err() {
        return Err(missing());
    }
    println!("installing {PACKAGE}");
    let apt = |words: &[&str]| {
        let mut apt = Command::new("apt-get");
        succeed(apt.args(words).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    let installed = apt(&["update", "-q"])
        .and_then(|()| apt(&["install", "-qy", "--no-install-recommends", PACKAGE]));
    if let Err(failure) = installed {
        println!("apt-get: {failure}");
    }
    newest(Path::new(DEBIAN)).ok_or_else(missing)
}

/// The programs of the newest version in Debian's folder, unless that is too old.
fn newest(folder: &Path) -> Option<PathBuf> {
    let major = |path: &PathBuf| -> Option<u32> { path.file_name()?.to_str()?.parse().ok() };
    let versions = folder.read_dir().ok()?.flatten().map(|entry| entry.path());
    let complete = versions.filter(|path| path.join("bin/initdb").exists());
    let newest = complete.max_by_key(major)?;
    (major(&newest)? >= MAJOR_MIN).then(|| newest.join("bin"))
}

/// `PostgreSQL 15.13` of `postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)`.
fn version_in(line: &str) -> String {
    let number = line.split(' ').nth(2).unwrap_or("of an unknown version");
    format!("PostgreSQL {number}")
}

fn pid_in(folder: &Path) -> Option<u32> {
    let text = fs::read_to_string(folder.join("data/postmaster.pid")).ok()?;
    text.lines().next()?.trim().parse().ok()
}

fn is_alive(pid: u32) -> bool {
    let mut signal = Command::new("kill");
    signal.args(["-0", &pid.to_string()]).stderr(Stdio::null());
    signal.status().is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    said(Command::new("id").arg("-u")).is_ok_and(|id| id == "0")
}

/// A port that nobody listened on a moment ago.
fn free_port() -> Result<u16, String> {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    port.map(|address| address.port())
        .map_err(|error| format!("no free port: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_says_where_a_server_is() {
        let text =
            r#"{"postgres":{"folder":"/tmp/f","pid":7,"url":"postgres://u","version":"P 1"}}"#;
        let service = service_in(text).unwrap();
        assert_eq!((service.pid, service.url.as_str()), (7, "postgres://u"));
        assert_eq!(service_in(r#"{"postgres":{"pid":7}}"#), None);
    }

    #[test]
    fn a_server_that_ended_does_not_run() {
        let root = env::temp_dir().join(format!("indelible-services-{}", std::process::id()));
        fs::create_dir_all(root.join("target")).unwrap();
        assert_eq!(running(&root), None);
        let text = format!(
            r#"{{"postgres":{{"folder":"/nowhere","pid":{},"url":"u","version":"v"}}}}"#,
            std::process::id()
        );
        fs::write(file(&root), text).unwrap();
        let (runs, ended) = (running(&root), down(&root));
        fs::remove_dir_all(&root).unwrap();
        assert_eq!((runs, ended), (None, Ok(None)), "the process is another's");
    }

    #[test]
    fn the_newest_version_is_taken_and_an_old_one_is_not() {
        let folder = env::temp_dir().join(format!("indelible-versions-{}", std::process::id()));
        let make = |version: &str| {
            fs::create_dir_all(folder.join(version).join("bin")).unwrap();
            fs::write(folder.join(version).join("bin/initdb"), "").unwrap();
        };
        make("9");
        let old = newest(&folder);
        make("15");
        make("17");
        let found = newest(&folder);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(old, None);
        assert_eq!(found, Some(folder.join("17/bin")));
        let line = "postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)";
        assert_eq!(version_in(line), "PostgreSQL 15.13");
    }
}
