//! Where lines go: a file that may be moved away under us, or standard output that may be full or closed.
//!
//! In: whole lines. Out: how many of them were lost. Waits at most [`PATIENCE`], and not again until something was
//! written.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::Duration;
use tulle_snapshot::wire::{AccessLog as Settings, LoggedRequests};

/// How long a full pipe is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// What a pipe takes in one piece once it says that it is ready (POSIX: `PIPE_BUF`), so that a blocking one does not
/// block and lines of several writers do not mix.
const PIPE_PIECE: usize = 4096;

#[derive(Debug)]
enum Target {
    Nowhere,
    Stdout,
    File { path: PathBuf, file: File },
}

/// An open target.
#[derive(Debug)]
pub(super) struct Sink {
    target: Target,
    /// The last line written lacks its end.
    torn: bool,
    /// The last wait was in vain.
    stalled: bool,
}

impl Sink {
    /// Opens what the settings name; nothing where nothing is logged.
    pub(super) fn open(settings: &Settings) -> io::Result<Self> {
        let target = match (settings.requests, settings.file.as_str()) {
            (LoggedRequests::Off, _) => Target::Nowhere,
            (_, "-") => Target::Stdout,
            (_, path) => Target::File { path: path.into(), file: open_file(path.as_ref())? },
        };
        Ok(Self { target, torn: false, stalled: false })
    }

    /// Opens the file again. Where that fails, the old one stays.
    pub(super) fn reopen(&mut self) {
        if let Target::File { path, file } = &mut self.target
            && let Ok(new) = open_file(path)
        {
            *file = new;
            self.torn = false;
        }
    }

    /// Opens the file again if its name now means another one, or none.
    pub(super) fn follow_moved_file(&mut self) {
        if let Target::File { path, file } = &self.target {
            let ours = file.metadata().map(|m| (m.dev(), m.ino())).ok();
            let named = std::fs::metadata(path).map(|m| (m.dev(), m.ino())).ok();
            if ours != named {
                self.reopen();
            }
        }
    }

    /// Writes lines; returns how many were lost.
    pub(super) fn write(&mut self, lines: &[u8]) -> u64 {
        let Self { target, torn, stalled } = self;
        let stdout = rustix::stdio::stdout();
        let (fd, piece) = match target {
            Target::Nowhere => return 0,
            Target::Stdout => (stdout, PIPE_PIECE),
            Target::File { file, .. } => (File::as_fd(file), usize::MAX),
        };
        if *torn && !lines.is_empty() && write_some(fd, b"\n", stalled).is_ok() {
            *torn = false;
        }
        let mut rest = lines;
        while !rest.is_empty() && !*torn {
            match write_some(fd, first_piece(rest, piece), stalled) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(_) => break,
            }
        }
        let written = lines.len() - rest.len();
        if !rest.is_empty() && written > 0 {
            *torn = lines.get(written - 1) != Some(&b'\n');
        }
        memchr::memchr_iter(b'\n', rest).count() as u64
    }
}

/// Made with mode 0640: a log names clients. Non-blocking, as the path may be a FIFO.
fn open_file(path: &std::path::Path) -> io::Result<File> {
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(nonblocking).open(path)
}

/// At most `limit` bytes, up to the end of a line where one ends there.
fn first_piece(lines: &[u8], limit: usize) -> &[u8] {
    let Some(piece) = lines.get(..limit) else {
        return lines;
    };
    match memchr::memrchr(b'\n', piece) {
        Some(end) => piece.get(..=end).unwrap_or(piece),
        None => piece,
    }
}

/// One write, once the target is ready.
fn write_some(fd: BorrowedFd<'_>, bytes: &[u8], stalled: &mut bool) -> Result<usize, Errno> {
    loop {
        wait_writable(fd, if *stalled { Duration::ZERO } else { PATIENCE })
            .inspect_err(|_| *stalled = true)?;
        match rustix::io::write(fd, bytes) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => {
                *stalled = false;
                return Ok(count);
            }
            // Someone else filled the pipe in between.
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error),
        }
    }
}

fn wait_writable(fd: BorrowedFd<'_>, patience: Duration) -> Result<(), Errno> {
    let timeout = rustix::time::Timespec::try_from(patience).map_err(|_| Errno::INVAL)?;
    loop {
        match poll(&mut [PollFd::new(&fd, PollFlags::OUT)], Some(&timeout)) {
            Ok(0) => return Err(Errno::TIMEDOUT),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink(file: File) -> Sink {
        Sink { target: Target::File { path: "/nonexistent".into(), file }, torn: false, stalled: false }
    }

    #[test]
    fn pieces_end_with_a_line() {
        let cases: [(&[u8], usize, &[u8]); 5] = [
            (b"ab\ncd\n", 9, b"ab\ncd\n"),
            (b"ab\ncd\n", 5, b"ab\n"),
            (b"ab\ncd\n", 3, b"ab\n"),
            (b"abcdef\n", 4, b"abcd"),
            (b"", 4, b""),
        ];
        for (lines, limit, piece) in cases {
            assert_eq!(first_piece(lines, limit), piece, "{limit}");
        }
    }

    #[test]
    fn a_full_pipe_loses_lines_and_mends_the_torn_one() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        rustix::io::ioctl_fionbio(&reader, true).unwrap();
        let mut sink = sink(File::from(std::os::fd::OwnedFd::from(writer)));
        let line = [b"x".repeat(998), b"\n".to_vec()].concat();
        let lost = sink.write(&line.repeat(2_000));
        assert!(sink.torn && sink.stalled, "999 bytes fill no pipe evenly");
        assert_eq!(sink.write(&line.repeat(3)), 3, "still full");
        let mut read = Vec::new();
        let end = std::io::Read::read_to_end(&mut reader, &mut read).unwrap_err();
        assert_eq!(end.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(lost, 2_000 - memchr::memchr_iter(b'\n', &read).count() as u64);
        assert_eq!(sink.write(b"after\n"), 0);
        let mut rest = [0; 7];
        std::io::Read::read_exact(&mut reader, &mut rest).unwrap();
        assert_eq!(&rest, b"\nafter\n", "the torn line is ended first");
    }

    #[test]
    fn a_closed_pipe_loses_lines_and_nothing_else() {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut sink = sink(File::from(std::os::fd::OwnedFd::from(writer)));
        drop(reader);
        assert_eq!(sink.write(b"one\ntwo\n"), 2);
        assert_eq!(sink.write(b"three\n"), 1);
    }
}
