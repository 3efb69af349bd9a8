//! The machine a run was made on, as far as figures depend on it.

use std::path::Path;

/// Facts about the machine.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// What the processor calls itself.
    pub processor: String,
    /// Whether it has instructions for SHA-256.
    pub sha_instructions: bool,
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// Name and version of the kernel.
    pub kernel: String,
    /// File system of the benchmark's directory.
    pub file_system: String,
    /// Processes that were ready to run in the last minute, on average, before the run.
    pub load: String,
}

impl Machine {
    /// Looks at this machine; `dir` is where the benchmark writes.
    pub fn look(dir: &Path) -> Self {
        let processor = read("/proc/cpuinfo");
        let field = |name: &str| {
            let line = processor.lines().find(|line| line.starts_with(name));
            line.and_then(|l| l.split_once(':'))
                .map(|(_, v)| v.trim().to_owned())
        };
        let family = ["cpu family", "model"].map(|n| field(n).unwrap_or_default());
        let name = field("model name").unwrap_or_else(|| "unknown".to_owned());
        let sha = field("flags").is_some_and(|f| f.split(' ').any(|flag| flag == "sha_ni"));
        let kib = read("/proc/meminfo")
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:").map(str::to_owned))
            .and_then(|rest| {
                rest.trim()
                    .split(' ')
                    .next()
                    .and_then(|n| n.parse::<u64>().ok())
            });
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: format!("{name} (family {} model {})", family[0], family[1]),
            sha_instructions: sha,
            memory_bytes: kib.unwrap_or_default() * 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            file_system: file_system(dir).unwrap_or_else(|| "unknown".to_owned()),
            load: read("/proc/loadavg")
                .split(' ')
                .next()
                .unwrap_or_default()
                .to_owned(),
        }
    }

    /// One line about it.
    pub fn line(&self) -> String {
        let sha = if self.sha_instructions {
            "with"
        } else {
            "without"
        };
        format!(
            "{} cores of {}, {sha} SHA instructions, {} GiB, Linux {}, {}, load {} before",
            self.cores,
            self.processor,
            self.memory_bytes >> 30,
            self.kernel,
            self.file_system,
            self.load,
        )
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The type of the file system mounted nearest above `dir`.
fn file_system(dir: &Path) -> Option<String> {
    let dir = dir.canonicalize().ok()?;
    let mounts = read("/proc/self/mounts");
    let above = mounts.lines().filter_map(|line| {
        let mut parts = line.split(' ').skip(1);
        let (at, kind) = (parts.next()?, parts.next()?);
        dir.starts_with(at).then(|| (at.len(), kind.to_owned()))
    });
    above
        .max_by_key(|(length, _)| *length)
        .map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::Machine;

    #[test]
    fn a_machine_has_cores_memory_and_a_file_system() {
        let machine = Machine::look(&std::env::temp_dir());
        assert!(machine.cores > 0 && machine.memory_bytes > 1 << 20);
        assert_ne!(machine.file_system, "unknown");
        assert!(machine.line().contains("Linux"));
    }
}
