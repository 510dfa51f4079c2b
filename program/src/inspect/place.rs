//! Which file is looked at, and what its name and its neighbours tell of it.

use std::path::{Path, PathBuf};

use althing::disk::Disk as _;
use althing::storage::names::Name;
use althing::storage::segment::Standing;
use althing_core::ids::Zxid;

use crate::inspect::findings::Trouble;
use crate::inspect::read_only::ReadOnlyDisk;

/// A file of the storage.
#[derive(Clone, Debug)]
pub struct Place {
    /// As the operator named it.
    pub shown: String,
    /// The directory in which it lies.
    pub disk: ReadOnlyDisk,
    /// Its name there.
    pub name: String,
    /// The position that its name tells.
    pub position: Zxid,
}

impl Place {
    /// The file at `path`, whose name ends with a position: those that the storage has given
    /// another name (`damaged.`, `received.`, `temporary.`) keep it.
    pub fn of(path: &Path) -> Result<Place, Trouble> {
        let shown = path.display().to_string();
        let name = path.file_name().and_then(|name| name.to_str());
        let position = name.and_then(position_of);
        let (Some(name), Some(position)) = (name, position) else {
            return Err(Trouble::NoPosition(shown));
        };
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        Ok(Place {
            disk: ReadOnlyDisk::new(folder),
            name: name.to_owned(),
            position,
            shown,
        })
    }

    /// Is there a later segment beside this one? Then all of this one was synced.
    pub async fn standing(&self) -> Result<Standing, Trouble> {
        let names = self.disk.list().await;
        let names = names.map_err(|source| Trouble::io(&self.shown, source))?;
        let later = |name: &String| matches!(Name::parse(name), Some(Name::Segment(base)) if base > self.position);
        let is_segment = matches!(Name::parse(&self.name), Some(Name::Segment(_)));
        Ok(match is_segment && names.iter().any(later) {
            true => Standing::Followed,
            false => Standing::Last,
        })
    }
}

/// The position at the end of a name.
fn position_of(name: &str) -> Option<Zxid> {
    let (_, digits) = name.rsplit_once('.')?;
    match digits.len() {
        16 => u64::from_str_radix(digits, 16).ok().map(Zxid),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_position() {
        for name in [
            "log.0000000300000011",
            "damaged.snapshot.0000000300000011",
            "temporary.received.snapshot.0000000300000011",
        ] {
            assert_eq!(position_of(name), Some(Zxid(0x3_0000_0011)), "{name}");
        }
        for name in ["identity", "log.3", "log.000000030000001x", "lock"] {
            assert_eq!(position_of(name), None, "{name}");
        }
    }
}
