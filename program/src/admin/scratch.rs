//! What operators are given and send, as long as it is needed: in directories of their own within
//! the data directory, since that is where the space of a server is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use althing::entropy::entropy;

/// What the names begin with: what is given to an operator, and what comes from one.
const GIVEN: &str = "snapshot-for-operator-";
const SENT: &str = "snapshot-from-operator-";

/// What such a directory is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// What is given to an operator.
    Given,
    /// What one has sent.
    Sent,
}

/// A directory, which goes with this.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A new one.
    ///
    /// # Errors
    /// If there is no space, or the data directory is not ours.
    pub fn make(data_dir: &Path, purpose: Purpose) -> io::Result<Scratch> {
        let random = entropy();
        let number = u64::from_be_bytes(*random.first_chunk().expect("more than eight"));
        let begins = match purpose {
            Purpose::Given => GIVEN,
            Purpose::Sent => SENT,
        };
        let path = data_dir.join(format!("{begins}{number:016x}"));
        fs::create_dir(&path)?;
        Ok(Scratch { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Removes those that a server has left in its data directory which was killed.
pub fn clear(data_dir: &Path) {
    let entries = match fs::read_dir(data_dir) {
        Ok(entries) => entries,
        Err(error) => {
            let directory = data_dir.display();
            tracing::warn!(%error, %directory, "what operators were given may be left there");
            return;
        }
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(GIVEN) || name.starts_with(SENT) {
            remove(&entry.path());
        }
    }
}

fn remove(directory: &Path) {
    if let Err(error) = fs::remove_dir_all(directory) {
        let directory = directory.display();
        tracing::warn!(%error, %directory, "what an operator was given, or sent, is left there");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_with_its_use_and_after_a_kill_with_the_next_start() {
        let data_dir = tempfile::tempdir().expect("a temporary directory");
        let data_dir = data_dir.path();
        let count = || fs::read_dir(data_dir).expect("a directory").count();
        fs::write(data_dir.join("log-0000000000000001"), "ours").expect("a file");
        let scratch = Scratch::make(data_dir, Purpose::Sent).expect("space");
        fs::write(scratch.path().join("received"), "sent").expect("a file");
        assert_eq!(count(), 2);
        drop(scratch);
        assert_eq!(count(), 1);
        for purpose in [Purpose::Given, Purpose::Sent] {
            let scratch = Scratch::make(data_dir, purpose).expect("space");
            fs::write(scratch.path().join("half"), "killed").expect("a file");
            std::mem::forget(scratch);
        }
        assert_eq!(count(), 3);
        clear(data_dir);
        assert_eq!(count(), 1);
    }
}
