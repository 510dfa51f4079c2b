//! A data directory of the operating system: plain files, and a lock against a second process.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::disk::{Disk, DiskFile};

/// The file that is locked as long as a process uses the directory; it holds that process's number.
const LOCK_NAME: &str = "lock";

/// Why a data directory cannot be used.
#[derive(Debug, Error)]
pub enum DirectoryError {
    /// It is not there and cannot be created, or it cannot be entered.
    #[error("{directory}: cannot {doing}: {source}")]
    Io {
        /// The directory.
        directory: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the operating system says.
        source: io::Error,
    },
    /// Another process uses it.
    #[error(
        "{directory}: another process{holder} holds the lock of this data directory. Stop it \
         first, or choose another directory"
    )]
    Locked {
        /// The directory.
        directory: PathBuf,
        /// Its number, if it could be read: ` (pid 1234)`, or nothing.
        holder: String,
    },
}

/// A locked data directory. The lock goes with the last clone.
#[derive(Clone, Debug)]
pub struct OsDisk {
    directory: Arc<Directory>,
}

#[derive(Debug)]
struct Directory {
    path: PathBuf,
    /// The directory itself, for its syncs.
    handle: File,
    /// Held open, and with it the lock.
    _lock: File,
}

impl OsDisk {
    /// Locks the directory at `path`, which is created if it is not there.
    ///
    /// # Errors
    /// If another process holds it, or the operating system refuses.
    pub fn lock(path: &Path) -> Result<OsDisk, DirectoryError> {
        let failed = |doing| {
            let directory = path.to_owned();
            move |source| DirectoryError::Io {
                directory,
                doing,
                source,
            }
        };
        create(path).map_err(failed("create the data directory"))?;
        let handle = File::open(path).map_err(failed("open the data directory"))?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join(LOCK_NAME))
            .map_err(failed("open the lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DirectoryError::Locked {
                    directory: path.to_owned(),
                    holder: holder(&mut lock),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock it")(source)),
        }
        name_holder(&mut lock);
        Ok(OsDisk {
            directory: Arc::new(Directory {
                path: path.to_owned(),
                handle,
                _lock: lock,
            }),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.directory.path
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path.join(name)
    }
}

/// Creates the directory and those above it, and makes their names durable.
fn create(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    create(parent)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(parent)?.sync_all()
}

/// Who holds the lock, for the message. Its number may be missing: then the message does without.
fn holder(lock: &mut File) -> String {
    let mut pid = String::new();
    match lock.take(20).read_to_string(&mut pid) {
        Ok(_) if !pid.trim().is_empty() => format!(" (pid {})", pid.trim()),
        _ => String::new(),
    }
}

/// Writes this process's number into the lock, for the message that another one will show. It is a
/// courtesy: on a full disk the lock holds all the same.
fn name_holder(lock: &mut File) {
    let written = lock
        .set_len(0)
        .and_then(|()| writeln!(lock, "{}", std::process::id()));
    if let Err(error) = written {
        tracing::debug!(%error, "the lock does not name this process");
    }
}

impl Disk for OsDisk {
    type File = OsFile;

    async fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory.path)? {
            let entry = entry?;
            // A name that is no UTF-8 is none of ours.
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    async fn open(&self, name: &str) -> io::Result<OsFile> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.at(name))?;
        Ok(OsFile { file })
    }

    async fn create(&self, name: &str) -> io::Result<OsFile> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(self.at(name))?;
        Ok(OsFile { file })
    }

    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.at(from), self.at(to))
    }

    async fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.at(name))
    }

    async fn sync_directory(&self) -> io::Result<()> {
        self.directory.handle.sync_all()
    }
}

/// An open file of the operating system.
#[derive(Debug)]
pub struct OsFile {
    file: File,
}

impl From<File> for OsFile {
    fn from(file: File) -> OsFile {
        OsFile { file }
    }
}

impl DiskFile for OsFile {
    async fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    async fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; bytes];
        let mut read = 0;
        while read < bytes {
            match self.file.read_at(&mut buffer[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        buffer.truncate(read);
        Ok(buffer)
    }

    async fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    async fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    async fn sync(&self) -> io::Result<()> {
        // `fdatasync` includes the length, and leaves out the times, which nobody reads.
        self.file.sync_data()
    }
}
