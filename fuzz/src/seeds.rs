//! Writes the seeds of a target into a directory, for libFuzzer: `seeds <target> <directory>`.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

use indelible_fuzz::TARGETS;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let written = match arguments.as_slice() {
        [target, directory] => write(target, Path::new(directory)),
        _ => Err(io::Error::other(
            "say which target, and into which directory",
        )),
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error),
    }
}

#[expect(clippy::print_stderr, reason = "a command line speaks to its user")]
fn complain(error: &io::Error) -> ExitCode {
    eprintln!("{error}");
    ExitCode::FAILURE
}

fn write(name: &str, directory: &Path) -> io::Result<()> {
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.ok_or_else(|| {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        io::Error::other(format!("no target {name}: there are {}", names.join(", ")))
    })?;
    fs::create_dir_all(directory)?;
    for (number, seed) in (target.seeds)().iter().enumerate() {
        fs::write(directory.join(format!("seed-{number:03}")), seed)?;
    }
    Ok(())
}
