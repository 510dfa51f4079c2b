//! A directory that is read and never written, and is not locked: its server may be running.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use althing::disk::{Disk, DiskFile};
use althing::os_disk::OsFile;

/// A directory.
#[derive(Clone, Debug)]
pub struct ReadOnlyDisk {
    path: Arc<PathBuf>,
}

/// A file of it.
#[derive(Debug)]
pub struct ReadOnlyFile {
    file: OsFile,
}

impl ReadOnlyDisk {
    /// The directory at `path`.
    pub fn new(path: PathBuf) -> ReadOnlyDisk {
        ReadOnlyDisk {
            path: Arc::new(path),
        }
    }
}

/// Whoever inspects must not change anything, whatever the storage would like to do.
fn refused<T>() -> io::Result<T> {
    Err(io::Error::new(
        io::ErrorKind::ReadOnlyFilesystem,
        "it is only looked at",
    ))
}

impl Disk for ReadOnlyDisk {
    type File = ReadOnlyFile;

    async fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&*self.path)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    async fn open(&self, name: &str) -> io::Result<ReadOnlyFile> {
        let file = File::open(self.path.join(name))?;
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let file = OsFile::from(file);
        Ok(ReadOnlyFile { file })
    }

    async fn create(&self, _: &str) -> io::Result<ReadOnlyFile> {
        refused()
    }

    async fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        refused()
    }

    async fn remove(&self, _: &str) -> io::Result<()> {
        refused()
    }

    async fn sync_directory(&self) -> io::Result<()> {
        refused()
    }
}

impl DiskFile for ReadOnlyFile {
    async fn len(&self) -> io::Result<u64> {
        self.file.len().await
    }

    async fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        self.file.read_at(offset, bytes).await
    }

    async fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        refused()
    }

    async fn set_len(&self, _: u64) -> io::Result<()> {
        refused()
    }

    async fn sync(&self) -> io::Result<()> {
        refused()
    }
}
