//! The access log, from a worker's push to the lines in a file.

use crate::fixture::{Shape, record};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tulle_proxy::telemetry::{
    AccessLog, Flags, Identities, LogHandle, LogSetup, Metrics, NONE_16, NONE_32, ProcessFacts, Reason,
    Record, RequestId, Text, WorkerMetrics,
};
use tulle_snapshot::wire::{AccessLog as Settings, LoggedRequests};

const SHAPE: Shape<'_> = Shape { listeners: &["web"], routes: &[("a", 2), ("b", 1)], services: &["api"] };

/// A log into a file in a folder of its own.
struct Bench {
    folder: PathBuf,
    log: AccessLog,
    handles: Vec<LogHandle>,
    metrics: Metrics,
    /// What counts is here; the metrics only read it.
    workers: Vec<WorkerMetrics>,
    identities: Arc<Identities>,
}

impl Bench {
    fn new(name: &str, requests: LoggedRequests, workers: usize, bound: usize) -> Self {
        let folder = std::env::temp_dir().join(format!("tulle-log-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (names, identities) = (SHAPE.names(1), Arc::new(Identities::default()));
        let (metrics, workers) = Metrics::new(&names, workers);
        let epoch = || Duration::from_secs(1_700_000_000);
        let setup = LogSetup { names, identities: Arc::clone(&identities), epoch, bound };
        let settings = settings(requests, &folder.join("access.log"));
        let (log, handles) = AccessLog::start(&settings, setup, &metrics).unwrap();
        Self { folder, log, handles, metrics, workers, identities }
    }

    fn file(&self) -> PathBuf {
        self.folder.join("access.log")
    }

    fn push(&mut self, record: &Record) {
        self.handles[0].push(record);
        self.handles[0].flush();
    }

    /// Closes the log and reads its lines.
    fn lines(&self) -> Vec<Value> {
        self.log.close();
        lines(&self.file())
    }

    fn dropped(&self) -> u64 {
        assert!(!self.workers.is_empty());
        let stats: Value = serde_json::from_str(&self.metrics.stats_json(&ProcessFacts::default())).unwrap();
        stats["accessLog"]["dropped"].as_u64().unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn settings(requests: LoggedRequests, file: &Path) -> Settings {
    Settings { requests, file: file.to_str().unwrap().into() }
}

fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// Waits for the writer, at most 5 s.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{what}: not within 5 s");
}

#[test]
fn a_line_says_everything_the_record_knows() {
    let mut bench = Bench::new("full", LoggedRequests::All, 1, 16);
    let mut full = record(1, (0, 1, 0), 502, 12_345_678);
    full.endpoint = 1;
    full.identity = bench.identities.number("spiffe://example.test/ns/shop/sa/web");
    (full.policy, full.shadow_policy) = (0, 1);
    (full.at.routed, full.at.connected, full.at.sent, full.at.response) =
        (2_000, 1_002_000, 1_003_000, 9_003_999);
    (full.head_in, full.body_in, full.head_out, full.body_out) = (100, 7, 50, 1 << 40);
    (full.trace_id, full.span_id) = ([0xab; 16], [1, 2, 3, 4, 5, 6, 7, 8]);
    full.reason = Reason::UpstreamReset;
    full.detail = "content_length_short";
    full.flags = Flags::TLS.with(Flags::RETRIED);
    full.peer = "10.1.2.3:4567".parse::<std::net::SocketAddr>().unwrap().into();
    full.method = Text::new(b"GET");
    full.path = Text::new(b"/v1/things");
    full.request_id = RequestId::Generated([0x0f; 16]);
    full.attempts.push(0, Reason::ConnectFailure, 1_500_000);
    full.attempts.push(1, Reason::UpstreamReset, 250_000);
    bench.push(&full);
    bench.push(&Record::new(1, 0, 5_000_000));
    let expected = json!({
        "ts": "2023-11-14T22:13:20.000Z", "listener": "web", "route": "a", "rule": 1, "service": "api", "endpoint": "api.test:80",
        "method": "GET", "path": "/v1/things", "sni": null, "status": 502, "grpc_status": null, "reason": "upstream_reset", "detail": "content_length_short",
        "flag": "UR", "flags": ["tls", "retried"], "bytes_in": 107, "bytes_out": (1u64 << 40) + 50, "body_in": 7,
        "body_out": 1u64 << 40, "duration_ms": 12.345, "upstream_ms": 8.0, "connect_ms": 1.0, "request_id": "0f".repeat(16),
        "trace_id": "ab".repeat(16), "span_id": "0102030405060708", "peer": "10.1.2.3:4567",
        "peer_id": "spiffe://example.test/ns/shop/sa/web", "policy": "guard", "shadow_policy": "trial",
        "attempts": [
            { "endpoint": "127.0.0.1:19001", "reason": "connect_failure", "ms": 1.5 },
            { "endpoint": "api.test:80", "reason": "upstream_reset", "ms": 0.25 },
        ],
    });
    let empty = json!({
        "ts": "2023-11-14T22:13:20.005Z", "listener": "web", "route": null, "rule": null, "service": null, "endpoint": null,
        "method": null, "path": null, "sni": null, "status": null, "grpc_status": null, "reason": "ok", "detail": null, "flag": "-", "flags": [], "bytes_in": 0,
        "bytes_out": 0, "body_in": 0, "body_out": 0, "duration_ms": 0.0, "upstream_ms": null, "connect_ms": null,
        "request_id": null, "trace_id": null, "span_id": null, "peer": null, "peer_id": null, "policy": null,
        "shadow_policy": null, "attempts": [],
    });
    assert_eq!(bench.lines(), [expected, empty]);
    let mode = fs::metadata(bench.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o137, 0, "not for others: {mode:o}");
}

#[test]
fn a_whole_connection_is_told_by_the_name_it_asks_for() {
    let mut bench = Bench::new("connection", LoggedRequests::Errors, 1, 16);
    let mut connection = record(1, (0, NONE_32, 0), 0, 1_000_000);
    connection.flags = Flags::CONNECTION;
    connection.path = Text::new(&[b'a'; 60]);
    bench.push(&connection); // it ended plainly, which is no error
    connection.reason = Reason::SniUnknown;
    bench.push(&connection);
    let lines = bench.lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["sni"], "a".repeat(48));
    assert_eq!(lines[0]["reason"], "sni_unknown");
    assert_eq!(lines[0]["flags"], json!(["connection", "sni_cut"]));
    for field in ["path", "method", "status", "route"] {
        assert!(lines[0][field].is_null(), "{field}");
    }
}

#[test]
fn hostile_bytes_stay_inside_their_field() {
    let hostile: [&[u8]; 7] = [
        b"/\",\"status\":200,\"x\":\"",
        b"/\n{\"listener\":\"forged\"}\n",
        b"/\x00\x01\x1b[2J\x7f\x80\xff",
        b"\\\\\\\"",
        b"/\xc3\x28\xf0\x9f\xa6",
        "/\u{2028}\u{202e}".as_bytes(),
        &[b'"'; 200],
    ];
    let mut bench = Bench::new("hostile", LoggedRequests::All, 1, 64);
    for bytes in hostile {
        let mut record = record(1, (0, 0, 0), 404, 1);
        record.method = Text::new(bytes);
        record.path = Text::new(bytes);
        record.request_id = RequestId::Client(Text::new(bytes));
        bench.push(&record);
    }
    let lines = bench.lines();
    assert_eq!(lines.len(), hostile.len());
    for (line, bytes) in lines.iter().zip(hostile) {
        assert_eq!((&line["status"], &line["listener"]), (&404.into(), &"web".into()));
        let kept = String::from_utf8_lossy(&bytes[..bytes.len().min(48)]).into_owned();
        assert_eq!(line["path"], kept, "what was sent, or U+FFFD where it is no text");
        let cut = line["flags"].as_array().unwrap().contains(&"path_cut".into());
        assert_eq!(cut, bytes.len() > 48);
    }
    let text = fs::read_to_string(bench.file()).unwrap();
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "no control character reaches a terminal");
    assert!(!text.contains(['\u{2028}', '\u{202e}']));
}

#[test]
fn only_what_is_asked_for_is_logged() {
    let statuses = [
        (200, Reason::Ok),
        (404, Reason::NoRoute),
        (301, Reason::Redirect),
        (200, Reason::ClientClosed),
        (0, Reason::TlsHandshake),
    ];
    for (requests, expected) in
        [(LoggedRequests::All, vec![200, 404, 301, 200, 0]), (LoggedRequests::Errors, vec![404, 200, 0])]
    {
        let mut bench = Bench::new(&format!("{requests:?}"), requests, 1, 16);
        for (status, reason) in statuses {
            let mut record = record(1, (0, 0, 0), status, 1);
            record.reason = reason;
            bench.push(&record);
        }
        let logged: Vec<_> = bench.lines().iter().map(|line| line["status"].as_u64().unwrap_or(0)).collect();
        assert_eq!(logged, expected, "{requests:?}");
    }
    let mut bench = Bench::new("off", LoggedRequests::Off, 1, 16);
    bench.push(&record(1, (0, 0, 0), 500, 1));
    bench.log.close();
    assert!(!bench.file().exists(), "nothing to log, no file");
}

#[test]
fn a_full_queue_drops_and_counts_and_the_rest_is_written() {
    let mut bench = Bench::new("full-queue", LoggedRequests::All, 2, 8);
    // Not announced: the writer sleeps on.
    for _ in 0..20 {
        bench.handles[0].push(&record(1, (0, 0, 0), 200, 1));
    }
    bench.handles[1].push(&record(1, (0, 0, 0), 201, 1));
    assert_eq!(bench.dropped(), 12);
    bench.handles[0].flush();
    until("the queue is drained", || lines(&bench.file()).len() == 9);
    bench.push(&record(1, (0, 0, 0), 202, 1));
    assert_eq!(bench.lines().len(), 10);
    assert_eq!(bench.dropped(), 12);
    assert_eq!(bench.log.lost(), 0);
}

/// Each worker logs 5,000 requests of a status of its own, numbered; returns the lines and how many were dropped.
fn under_load(bound: usize) -> (Vec<Value>, u64) {
    let mut bench = Bench::new(&format!("load-{bound}"), LoggedRequests::All, 3, bound);
    let worker = |mut handle: LogHandle, status| {
        for i in 0..5_000u32 {
            let mut record = record(1, (0, 0, 0), status, 1);
            record.body_in = u64::from(i);
            handle.push(&record);
            if i % 7 == 0 {
                handle.flush();
            }
            if i % 100 == 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        handle.flush();
    };
    let handles = std::mem::take(&mut bench.handles);
    std::thread::scope(|scope| {
        for (handle, status) in handles.into_iter().zip(200..) {
            scope.spawn(move || worker(handle, status));
        }
    });
    (bench.lines(), bench.dropped())
}

#[test]
fn every_line_of_every_worker_is_written_once_or_counted() {
    // How much a small queue drops is the scheduler's choice; that as many of each worker are written as it holds is not.
    for (bound, at_least) in [(5_000, 15_000), (256, 3 * 256)] {
        let (lines, dropped) = under_load(bound);
        assert_eq!(lines.len() as u64 + dropped, 15_000, "{bound}");
        assert!(lines.len() >= at_least, "{bound}: {} written", lines.len());
        for status in 200..203 {
            let of_one = lines.iter().filter(|line| line["status"] == status);
            let numbers: Vec<_> = of_one.map(|line| line["body_in"].as_u64().unwrap()).collect();
            assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{bound}: in order, none twice");
        }
    }
}

#[test]
fn a_sleeping_writer_wakes_for_one_line() {
    let mut bench = Bench::new("wake", LoggedRequests::All, 1, 16);
    for count in 1..=5 {
        std::thread::sleep(Duration::from_millis(60));
        bench.push(&record(1, (0, 0, 0), 200, 1));
        until("a line", || lines(&bench.file()).len() == count);
    }
}

#[test]
fn a_moved_file_is_left_alone_and_a_new_one_begun() {
    let mut bench = Bench::new("moved", LoggedRequests::All, 1, 16);
    bench.push(&record(1, (0, 0, 0), 200, 1));
    until("the first line", || lines(&bench.file()).len() == 1);
    let old = bench.folder.join("access.log.1");
    fs::rename(bench.file(), &old).unwrap();
    bench.push(&record(1, (0, 0, 0), 201, 1));
    until("the new file", || bench.file().exists() && lines(&bench.file()).len() == 1);
    fs::rename(bench.file(), bench.folder.join("access.log.2")).unwrap();
    bench.log.reopen();
    until("an empty file without a request", || bench.file().exists());
    bench.push(&record(1, (0, 0, 0), 202, 1));
    assert_eq!(bench.lines()[0]["status"], 202);
    assert_eq!(lines(&old).len(), 1);
}

#[test]
fn while_the_folder_is_gone_the_old_file_is_kept() {
    let mut bench = Bench::new("gone", LoggedRequests::All, 1, 16);
    bench.push(&record(1, (0, 0, 0), 200, 1));
    until("the first line", || lines(&bench.file()).len() == 1);
    let away = bench.folder.with_extension("away");
    fs::rename(&bench.folder, &away).unwrap();
    bench.push(&record(1, (0, 0, 0), 201, 1));
    until("the line in the old file", || lines(&away.join("access.log")).len() == 2);
    assert_eq!(bench.log.lost(), 0);
    fs::rename(&away, &bench.folder).unwrap();
}

#[test]
fn new_settings_take_over_and_bad_ones_change_nothing() {
    let mut bench = Bench::new("configure", LoggedRequests::Errors, 1, 16);
    bench.push(&record(1, (0, 0, 0), 200, 1));
    let missing = settings(LoggedRequests::All, &bench.folder.join("no/such/folder.log"));
    assert_eq!(bench.log.configure(&missing).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    bench.push(&record(1, (0, 0, 0), 500, 1));
    until("still errors, still there", || lines(&bench.file()).len() == 1);
    let other = bench.folder.join("other.log");
    bench.log.configure(&settings(LoggedRequests::All, &other)).unwrap();
    bench.push(&record(1, (0, 0, 0), 200, 1));
    until("all, elsewhere", || lines(&other).len() == 1);
    bench.log.configure(&settings(LoggedRequests::Off, &other)).unwrap();
    bench.push(&record(1, (0, 0, 0), 500, 1));
    assert_eq!((bench.lines().len(), lines(&other).len()), (1, 1));
}

#[test]
fn records_are_named_by_their_own_generation() {
    let mut bench = Bench::new("generations", LoggedRequests::All, 1, 16);
    let turned = Shape { listeners: &["web"], routes: &[("b", 1), ("a", 2)], services: &["api"] };
    bench.log.add_names(turned.names(2));
    for generation in [2, 1, 77] {
        bench.push(&record(generation, (0, 0, NONE_16), 404, 1));
    }
    bench.push(&record(2, (0, NONE_32, NONE_16), 404, 1));
    let routes: Vec<_> = bench.lines().iter().map(|line| line["route"].clone()).collect();
    assert_eq!(routes, [json!("b"), json!("a"), Value::Null, Value::Null]);
}

/// What the child ends with when it got through.
const THROUGH: i32 = 42;
const CHILD: &str = "TULLE_TEST_LOG_CHILD";

/// Runs in a process of its own, whose standard output the test holds.
fn child() -> ! {
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let (names, identities) = (SHAPE.names(1), Arc::default());
    let (metrics, _workers) = Metrics::new(&names, 1);
    let setup = LogSetup { names, identities, epoch: || Duration::ZERO, bound: 1_000 };
    let (log, mut handles) =
        AccessLog::start(&settings(LoggedRequests::All, Path::new("-")), setup, &metrics).unwrap();
    for _ in 0..1_000 {
        handles[0].push(&record(1, (0, 0, 0), 200, 1));
    }
    handles[0].flush();
    log.close();
    std::process::exit(if log.lost() > 0 { THROUGH } else { 1 });
}

/// Starts the child, lets `stdout` see its output once it runs, and waits at most 20 s for it.
fn child_with<T>(stdout: impl FnOnce(std::process::ChildStdout) -> T) -> Option<i32> {
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "telemetry_log::a_standard_output_that_is_closed_or_unread_ends_nothing",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut said = Vec::new();
    while !said.ends_with(b"ends_nothing ... ") {
        let mut byte = [0];
        output.read_exact(&mut byte).unwrap();
        said.push(byte[0]);
    }
    let _held = stdout(output);
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let mut code = None;
    for _ in 0..2_000 {
        if let Some(status) = child.try_wait().unwrap() {
            code = status.code();
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
    code
}

#[test]
fn a_standard_output_that_is_closed_or_unread_ends_nothing() {
    if std::env::var_os(CHILD).is_some() {
        child();
    }
    assert_eq!(child_with(drop), Some(THROUGH), "closed");
    assert_eq!(child_with(|output| output), Some(THROUGH), "unread: lines are lost, the close does not hang");
}
