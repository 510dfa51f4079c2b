//! The files of the audit log: one a day, the oldest go, written by a thread of their own.

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_appender::rolling::{InitError, RollingFileAppender, Rotation};

use crate::audit::AuditLog;

/// Lines that wait to be written: seconds of a server under full load. Beyond them lines are lost.
const LINES_WAITING_MAX: usize = 100_000;

/// Writes on after an error, and counts what it could not write.
struct Counting<W> {
    inner: W,
    failed: Arc<AtomicU64>,
    /// Part of a line may have been written.
    broken: bool,
}

impl<W: Write> Counting<W> {
    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.broken {
            self.inner.write_all(b"\n")?;
            self.broken = false;
        }
        self.inner.write_all(line)
    }
}

impl<W: Write> Write for Counting<W> {
    /// Takes a whole line, always: who writes does not know what to do about an error.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Err(error) = self.line(line) {
            self.broken = true;
            if self.failed.fetch_add(1, Ordering::Relaxed) == 0 {
                tracing::error!("the audit log cannot be written, its lines are lost: {error}");
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Opens the audit log: `file` with the day appended, in UTC, of which the newest `kept` stay. What
/// waits is written when the guard is dropped.
///
/// # Errors
/// If the file cannot be opened.
pub fn open(file: &Path, kept: usize, user: &str) -> Result<(AuditLog, WorkerGuard), InitError> {
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let files = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix(name)
        .max_log_files(kept)
        .build(directory)?;
    Ok(begin(files, user))
}

fn begin(writer: impl Write + Send + 'static, user: &str) -> (AuditLog, WorkerGuard) {
    let failed = Arc::new(AtomicU64::new(0));
    let counting = Counting {
        inner: writer,
        failed: Arc::clone(&failed),
        broken: false,
    };
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES_WAITING_MAX)
        .thread_name("audit")
        .finish(counting);
    let dropped = writer.error_counter();
    let writer = Mutex::new(writer);
    let write = move |line: String| {
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        // A line that does not fit is counted by the writer itself.
        let _counted = writer.write(line.as_bytes());
    };
    let lost = move || failed.load(Ordering::Relaxed) + dropped.dropped_lines() as u64;
    (AuditLog::new(user, write, lost), guard)
}

#[cfg(test)]
mod tests {
    use super::*;
    use althing_core::time::WallTime;

    #[test]
    fn lines_are_in_a_file_of_the_day() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("audit.log");
        let (log, guard) = open(&file, 2, "root").expect("a log");
        log.server(WallTime(1_700_000_000_000), "serverStart", "success");
        drop(guard);
        let found = std::fs::read_dir(directory.path()).expect("a directory");
        let found: Vec<_> = found.map(|entry| entry.expect("an entry").path()).collect();
        assert_eq!(found.len(), 1);
        let name = found[0].file_name().expect("a name").to_string_lossy();
        assert!(name.starts_with("audit.log.20"), "{name}");
        let text = std::fs::read_to_string(&found[0]).expect("a file");
        let line = "INFO audit: user=root\toperation=serverStart\tresult=success\n";
        assert_eq!(text, format!("2023-11-14T22:13:20.000Z {line}"));
        assert_eq!(log.lost(), 0);
    }

    /// A disk that has no space for some writes, and takes half of the first that fails.
    struct Full {
        fails: Vec<usize>,
        writes: usize,
        text: Arc<Mutex<String>>,
    }

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.writes += 1;
            let text = std::str::from_utf8(bytes).expect("text");
            let mut all = self.text.lock().expect("no panic");
            match self.fails.iter().position(|write| *write == self.writes) {
                Some(0) => {
                    all.push_str(&text[..text.len() / 2]);
                    Ok(text.len() / 2)
                }
                Some(_) => Err(io::ErrorKind::StorageFull.into()),
                None => {
                    all.push_str(text);
                    Ok(text.len())
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_loses_lines_and_later_ones_are_whole() {
        let text = Arc::new(Mutex::new(String::new()));
        let full = Full {
            fails: vec![2, 3, 4],
            writes: 0,
            text: Arc::clone(&text),
        };
        let (log, guard) = begin(full, "u");
        let operations = ["one", "two", "three", "four", "five"];
        for operation in operations {
            log.server(WallTime(0), operation, "success");
        }
        drop(guard);
        let text = text.lock().expect("no panic");
        let whole: Vec<&str> = operations
            .into_iter()
            .filter(|operation| {
                let rest = format!("user=u\toperation={operation}\tresult=success");
                let line = format!("1970-01-01T00:00:00.000Z INFO audit: {rest}");
                text.lines().any(|found| found == line)
            })
            .collect();
        assert_eq!(whole, ["one", "four", "five"], "{text}");
        assert_eq!(log.lost(), 2);
    }
}
