//! A directory that is read and never written, and is not locked: its server may be running.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use althing::disk::{Disk, DiskFile};

/// A directory.
#[derive(Clone, Debug)]
pub struct ReadOnlyDisk {
    path: Arc<PathBuf>,
}

/// A file of it.
#[derive(Debug)]
pub struct ReadOnlyFile {
    file: File,
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
