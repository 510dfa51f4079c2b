//! Bit rot: flips bits in a place of a stopped server's disk that matters to its storage.

use althing::storage::names::Name;
use althing::storage::sector::{self, Kind, SECTOR_BYTES, Sector};
use althing_core::ids::Zxid;

use crate::plan::RotPlace;
use crate::random::Stream;
use crate::world::platter::{Inode, Platter};

/// Most bits that flip in one strike: what a checksum of 32 bits always or nearly always notices.
const BITS_MAX: u64 = 8;

/// A sector of the log that belongs to a group of records.
struct Place {
    file: String,
    inode: Inode,
    index: u32,
    /// Counts the groups of the whole log.
    group: u32,
}

/// Damages the `place`. What was struck, for people, or `None` if there is no such place yet.
pub fn strike(platter: &mut Platter, place: RotPlace, random: &mut Stream) -> Option<String> {
    // A machine that stands still has written back what it had.
    platter.settle();
    let (file, inode, offset, bytes) = match place {
        RotPlace::LogTail | RotPlace::LogMiddle => {
            let sectors = group_sectors(platter);
            let last = sectors.last()?.group;
            let wanted: Vec<&Place> = (sectors.iter())
                .filter(|sector| (sector.group == last) == (place == RotPlace::LogTail))
                .collect();
            if wanted.is_empty() {
                return None;
            }
            let struck = wanted[random.index(wanted.len())];
            let offset = sector::offset(struck.index);
            (struck.file.clone(), struck.inode, offset, SECTOR_BYTES)
        }
        RotPlace::Snapshot => {
            let (_, file) = files(platter, |name| match name {
                Name::Snapshot(zxid) => Some(zxid),
                _ => None,
            })
            .pop()?;
            let inode = platter.find(&file)?;
            (file, inode, 0, platter.seen(inode)?.len())
        }
    };
    if bytes == 0 {
        return None;
    }
    let flips = 1 + random.below(BITS_MAX);
    let begin = offset + random.index(bytes) as u64;
    let mut flipped = Vec::new();
    for _ in 0..flips {
        // A burst: what fails together lies together.
        let at = (begin + random.below(8)).min(offset + bytes as u64 - 1);
        let bit = random.below(8) as u8;
        if !flipped.contains(&(at, bit)) {
            platter.flip(inode, at, bit);
            flipped.push((at, bit));
        }
    }
    Some(format!(
        "{} bits of {file} near byte {begin}",
        flipped.len()
    ))
}

fn files(platter: &Platter, pick: impl Fn(Name) -> Option<Zxid>) -> Vec<(Zxid, String)> {
    let mut files: Vec<_> = (platter.list().into_iter())
        .filter_map(|name| Some((pick(Name::parse(&name)?)?, name)))
        .collect();
    files.sort();
    files
}

/// All sectors of the log that belong to groups of records, in their order.
fn group_sectors(platter: &Platter) -> Vec<Place> {
    let segments = files(platter, |name| match name {
        Name::Segment(base) => Some(base),
        _ => None,
    });
    let mut places = Vec::new();
    let mut group = 0;
    for (base, file) in segments {
        let Some(inode) = platter.find(&file) else {
            continue;
        };
        let bytes = platter.seen(inode).unwrap_or_default();
        let mut group_start = None;
        for (index, sector) in (0u32..).zip(bytes.chunks(SECTOR_BYTES)) {
            let Sector::Whole {
                kind: Kind::Group,
                start,
                ..
            } = sector::read(base, index, sector)
            else {
                continue;
            };
            if group_start != Some(start) {
                group_start = Some(start);
                group += 1;
            }
            places.push(Place {
                file: file.clone(),
                inode,
                index,
                group,
            });
        }
    }
    places
}
