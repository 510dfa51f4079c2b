//! The files of ZooKeeper's: which there are, and what their names tell.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use althing_core::ids::Epoch;

use crate::import::refusal::Refusal;

/// The directory that ZooKeeper makes in the one that it is given.
const VERSIONED: &str = "version-2";

/// Where ZooKeeper keeps the epochs that it has promised to, beside the snapshots.
const EPOCHS: [&str; 2] = ["acceptedEpoch", "currentEpoch"];

/// A file whose name tells a position.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// The position: that of a snapshot, or of the first transaction of a log.
    pub zxid: i64,
    /// The file.
    pub path: PathBuf,
}

impl Named {
    /// What the file is called.
    pub fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Opens it.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn open(&self) -> Result<File, Refusal> {
        File::open(&self.path).map_err(Refusal::io(&self.path))
    }
}

/// What ZooKeeper has left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Files {
    /// The snapshots, the newest first.
    pub snapshots: Vec<Named>,
    /// The logs, the oldest first.
    pub logs: Vec<Named>,
    /// The newest epoch that the server had promised to, if it was one of several.
    pub epoch: u32,
}

impl Files {
    /// Looks into a data directory, and into one for logs if that is another one.
    ///
    /// # Errors
    /// If there is nothing of ZooKeeper's, or logs are at both places.
    pub fn find(data_dir: &Path, log_dir: Option<&Path>) -> Result<Files, Refusal> {
        let data = versioned(data_dir);
        let logs_at = log_dir.map_or_else(|| data.clone(), versioned);
        let mut snapshots = named(&data, "snapshot")?;
        snapshots.reverse();
        let logs = named(&logs_at, "log")?;
        if snapshots.is_empty() && logs.is_empty() {
            return Err(Refusal::Nothing(data_dir.to_owned()));
        }
        let is_elsewhere = match (fs::canonicalize(&data), fs::canonicalize(&logs_at)) {
            (Ok(data), Ok(logs)) => data != logs,
            _ => true,
        };
        if is_elsewhere && !logs.is_empty() && !named(&data, "log")?.is_empty() {
            return Err(Refusal::LogsTwice {
                data,
                logs: logs_at,
            });
        }
        let epoch = epoch(&data)?;
        Ok(Files {
            snapshots,
            logs,
            epoch,
        })
    }
}

fn versioned(directory: &Path) -> PathBuf {
    let inner = directory.join(VERSIONED);
    match inner.is_dir() {
        true => inner,
        false => directory.to_owned(),
    }
}

/// The files `kind.POSITION`, with whatever end, in the order of their positions.
fn named(directory: &Path, kind: &str) -> Result<Vec<Named>, Refusal> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(Refusal::io(directory))? {
        let path = entry.map_err(Refusal::io(directory))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(zxid) = name.and_then(|name| position(name, kind))
            && path.is_file()
        {
            found.push(Named { zxid, path });
        }
    }
    found.sort_by(|one, other| (one.zxid, &one.path).cmp(&(other.zxid, &other.path)));
    Ok(found)
}

fn position(name: &str, kind: &str) -> Option<i64> {
    let mut parts = name.split('.');
    if parts.next() != Some(kind) {
        return None;
    }
    i64::from_str_radix(parts.next()?, 16)
        .ok()
        .filter(|zxid| *zxid >= 0)
}

fn epoch(directory: &Path) -> Result<u32, Refusal> {
    let mut newest = 0;
    for name in EPOCHS {
        let path = directory.join(name);
        if !path.is_file() {
            continue;
        }
        let text = fs::read_to_string(&path).map_err(Refusal::io(&path))?;
        let told = text.trim();
        let epoch = told.parse().ok().filter(|epoch| *epoch < Epoch::MAX.0);
        let unfit = || Refusal::Unfit(format!("{}: {told:?} is no epoch", path.display()));
        newest = newest.max(epoch.ok_or_else(unfit)?);
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    use tempfile::TempDir;

    fn touch(directory: &Path, names: &[&str]) {
        fs::create_dir_all(directory).unwrap();
        for name in names {
            fs::write(directory.join(name), b"").unwrap();
        }
    }

    #[test]
    fn files_are_found_by_their_names_in_their_order() {
        let directory = TempDir::new().unwrap();
        let inner = directory.path().join(VERSIONED);
        touch(
            &inner,
            &[
                "log.a",
                "log.100000001",
                "log.1",
                "snapshot.0",
                "snapshot.9.gz",
                "snapshot.b.snappy",
                "snapshot",
                "snapshot.x",
                "log.-1",
                "notes",
            ],
        );
        fs::write(inner.join("acceptedEpoch"), "3\n").unwrap();
        fs::write(inner.join("currentEpoch"), "2").unwrap();
        let found = Files::find(directory.path(), None).unwrap();
        let names = |files: &[Named]| -> Vec<String> { files.iter().map(Named::name).collect() };
        let expected = ["snapshot.b.snappy", "snapshot.9.gz", "snapshot.0"];
        assert_eq!(names(&found.snapshots), expected);
        assert_eq!(names(&found.logs), ["log.1", "log.a", "log.100000001"]);
        assert_eq!(found.epoch, 3);
        assert_eq!(Files::find(&inner, Some(directory.path())).unwrap(), found);

        let logs = TempDir::new().unwrap();
        touch(&logs.path().join(VERSIONED), &["log.1"]);
        let twice = Files::find(directory.path(), Some(logs.path()));
        assert!(matches!(twice, Err(Refusal::LogsTwice { .. })));
        let nothing = TempDir::new().unwrap();
        let nothing = Files::find(nothing.path(), None);
        assert!(matches!(nothing, Err(Refusal::Nothing(_))));
    }
}
