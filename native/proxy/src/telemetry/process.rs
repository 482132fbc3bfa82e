//! Facts of the process that no worker counts: the running configuration, certificates, the log, memory.

use std::time::Duration;

/// Whose certificate it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateOwner {
    /// Shown to clients of the listener of this name.
    Listener(String),
    /// Shown to the service of this name.
    Service(String),
}

/// When a certificate ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateExpiry {
    /// Whose it is.
    pub owner: CertificateOwner,
    /// The file it was read from.
    pub file: String,
    /// Its `notAfter`, in seconds since the Unix epoch.
    pub not_after: i64,
}

/// What the metrics say beside the workers' counters. Times are since the Unix epoch.
#[derive(Debug, Clone, Default)]
pub struct ProcessFacts {
    /// The running snapshot's version.
    pub version: String,
    /// When the data plane was started.
    pub started: Duration,
    /// When the running snapshot was applied.
    pub applied: Duration,
    /// Data-plane workers.
    pub workers: usize,
    /// Snapshots that were applied after the first.
    pub reloads_applied: u64,
    /// Snapshots that were refused.
    pub reloads_refused: u64,
    /// Certificates in use.
    pub certificates: Vec<CertificateExpiry>,
    /// Log lines that could not be written.
    pub log_lost: u64,
    /// What the operating system says of the process.
    pub usage: Usage,
    /// The limit on resident memory in bytes, if there is one.
    pub memory_limit: Option<u64>,
    /// 0: none; 1: no connections are accepted; 2: no requests either.
    pub memory_pressure: u8,
    /// How the endpoints of each service stand.
    pub services: Vec<ServiceFacts>,
}

/// How the endpoints of a service stand.
#[derive(Debug, Clone, Default)]
pub struct ServiceFacts {
    /// The service.
    pub name: String,
    /// Its endpoints, in the order of the snapshot; one per address.
    pub endpoints: Vec<EndpointFacts>,
    /// So many would be ejected that they are used all the same.
    pub panics: bool,
    /// Requests that wait for room now, over all workers.
    pub waiting: u32,
}

/// How an endpoint stands.
#[derive(Debug, Clone)]
pub struct EndpointFacts {
    /// `ip:port`, or `unix:` and a path.
    pub address: String,
    /// How it stands.
    pub state: EndpointState,
    /// What the last health check that failed found, while the endpoint is unhealthy.
    pub why: &'static str,
}

/// How an endpoint stands, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointState {
    /// Health checks fail.
    Unhealthy,
    /// Left out for its errors.
    Ejected,
    /// It takes only clients whose cookie names it.
    Draining,
    /// It takes requests.
    Usable,
}

impl EndpointState {
    const ALL: [Self; 4] = [Self::Usable, Self::Ejected, Self::Unhealthy, Self::Draining];

    /// Its name in metrics and pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
            Self::Draining => "draining",
            Self::Usable => "usable",
        }
    }
}

impl ServiceFacts {
    /// How many endpoints stand how.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        EndpointState::ALL.into_iter().map(|state| {
            let count = self.endpoints.iter().filter(|endpoint| endpoint.state == state).count();
            (state.name(), count as u64)
        })
    }
}

/// What the operating system says of this process; none where it does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory in bytes.
    pub resident_bytes: Option<u64>,
    /// Virtual memory in bytes.
    pub virtual_bytes: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// User and system time in milliseconds.
    pub cpu_ms: Option<u64>,
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// How many there may be.
    pub max_fds: Option<u64>,
}

impl Usage {
    /// Reads `/proc/self`. Blocks on it: not for workers.
    #[must_use]
    pub fn read() -> Self {
        let text = |file: &str| std::fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
        let (status, limits) = (text("status"), text("limits"));
        let kib = |key| field(&status, key).map(|kib| kib * 1024);
        Self {
            resident_bytes: kib("VmRSS:"),
            virtual_bytes: kib("VmSize:"),
            threads: field(&status, "Threads:"),
            cpu_ms: cpu_ms(&text("stat"), rustix::param::clock_ticks_per_second()),
            // The listing itself holds one.
            open_fds: std::fs::read_dir("/proc/self/fd")
                .ok()
                .map(|list| (list.count() as u64).saturating_sub(1)),
            max_fds: field(&limits, "Max open files"),
        }
    }
}

/// The first number behind `key` at the start of a line.
fn field(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// `utime` and `stime` of `proc_pid_stat(5)`, the 12th and 13th field behind the command's closing bracket.
fn cpu_ms(stat: &str, ticks_per_second: u64) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(|field| field.parse::<u64>().ok());
    let ticks = times.next()?? + times.next()??;
    (ticks * 1_000).checked_div(ticks_per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_proc() {
        let status = "Name:\tVmRSS: 7\nVmPeak:\t  9 kB\nVmRSS:\t   1234 kB\nThreads:\t5\n";
        assert_eq!(
            (field(status, "VmRSS:"), field(status, "Threads:"), field(status, "VmData:")),
            (Some(1234), Some(5), None)
        );
        assert_eq!(field("Max open files            1024      4096  files\n", "Max open files"), Some(1024));
        assert_eq!(field("Max open files            unlimited unlimited\n", "Max open files"), None);
        let stat = "12 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20";
        assert_eq!(cpu_ms(stat, 100), Some(2_000));
        assert_eq!((cpu_ms("12 (x) S 1", 100), cpu_ms("", 100), cpu_ms(stat, 0)), (None, None, None));
    }

    #[test]
    fn this_process_has_memory_threads_and_files() {
        let usage = Usage::read();
        assert!(
            usage.resident_bytes > Some(100_000) && usage.virtual_bytes >= usage.resident_bytes,
            "{usage:?}"
        );
        assert!(usage.threads >= Some(1) && usage.open_fds >= Some(3) && usage.cpu_ms.is_some(), "{usage:?}");
    }
}
