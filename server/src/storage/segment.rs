//! One segment of the log: its format, and how a torn tail is told from damage.
//!
//! # Format
//!
//! A segment is a header and then groups, each in [`sector`]s of its own. The header holds the
//! versions, the position that the segment's first entry follows, and the ballot of that moment,
//! so that a ballot outlives the segment that it was saved in. A group is what one write and one
//! sync made durable: records, each after its length. A group is written only after the group
//! before it was synced, and a segment is created only after the one before it was.
//!
//! When the writer has nothing to do it writes a seal behind the last group: a sector that says
//! that everything before it was synced. The seal itself is not synced (but when the server stops
//! in good order), so it costs the hot path nothing. Nothing that was written is ever written over
//! with something else, so a segment only grows, and is cut at its end.
//!
//! # A torn tail, and damage
//!
//! The assumption is that a disk writes a sector whole or not at all. Then a write that a power
//! loss or a kill has interrupted leaves, sector by sector, either what was written, or zeros, or
//! the end of the file. Therefore:
//!
//! - A last group of which sectors are blank or missing, with nothing behind it, was never synced,
//!   so never acknowledged. It is a torn tail, and it is cut.
//! - The same with a later group, a seal or a later segment behind it was synced: it is damage.
//! - A sector with a wrong checksum that is not blank is damage wherever it is, also in the last
//!   group: no interrupted write leaves one. So flipped bits are always noticed.
//!
//! What cannot be noticed: a disk that has lost a write that it had confirmed, or zeroed a sector,
//! in the very last group before any seal behind it was on disk; the disappearance of the last
//! segment as a whole, unless a snapshot is newer than what is left. And should a disk, against the
//! assumption, leave garbage in the sector that it was writing when the power went, the server
//! refuses to start, names the place, and says how to cut it by hand.

use althing_core::codec::record::{RECORD_VERSION, decode_record, encode_record};
use althing_core::ids::Zxid;
use althing_core::quorum::log::{Ballot, Record};

use crate::disk::DiskFile;
use crate::storage::error::{RESTORE, StorageError};
use crate::storage::names;
use crate::storage::sector::{self, Kind, SECTOR_BYTES, Sector, Span};
use crate::storage::settings::{GROUP_BYTES_MAX, READ_BYTES, RECORD_BYTES_MAX};

/// The version of this format.
const SEGMENT_VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"ALTHLOG\0";

/// What is known about what comes after a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It is the last one: its tail may be torn.
    Last,
    /// Another one was created after it, so all of it was synced.
    Followed,
}

/// What was found in a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scanned {
    /// The first sector of the last group, or 0 for the header if there is no group.
    pub last: u32,
    /// The sector behind the last group and its seal: the next group belongs there.
    pub end: u32,
    /// Is there a seal? If not, nobody knows whether the last group was synced.
    pub sealed: bool,
    /// Is there something behind that must be cut?
    pub torn: bool,
}

/// The header of the segment that follows `base`: its first sector.
pub fn header(base: Zxid, ballot: Ballot) -> Vec<u8> {
    let mut payload = Vec::new();
    payload.extend_from_slice(&MAGIC);
    payload.extend_from_slice(&SEGMENT_VERSION.to_be_bytes());
    payload.extend_from_slice(&RECORD_VERSION.to_be_bytes());
    payload.extend_from_slice(&base.0.to_be_bytes());
    append_record(&Record::Ballot(ballot), &mut payload);
    let mut out = Vec::new();
    sector::write(base, Span::at(0), Kind::Header, &payload, &mut out);
    assert!(out.len() == SECTOR_BYTES, "a ballot is small");
    out
}

/// Appends a record to the payload of a group.
pub fn append_record(record: &Record, payload: &mut Vec<u8>) {
    let at = payload.len();
    payload.extend_from_slice(&[0; 4]);
    encode_record(record, payload);
    let bytes = payload.len() - at - 4;
    assert!(bytes <= RECORD_BYTES_MAX, "a record of {bytes} bytes");
    payload[at..at + 4].copy_from_slice(&(bytes as u32).to_be_bytes());
}

/// Is this file what an interrupted creation leaves: nothing but blank sectors, if any?
///
/// # Errors
/// If it cannot be read.
pub async fn is_unborn<F: DiskFile>(file: &F, base: Zxid) -> Result<bool, StorageError> {
    let mut reader = Reader::new(file, base).await?;
    for index in 0..reader.sectors {
        if !matches!(reader.sector(index).await?, Sector::Blank | Sector::Short) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads the segment that follows `base` from its beginning; `each` is given every record that was
/// durable, and where it is.
///
/// # Errors
/// If something that was durable is damaged, or `each` says so, or the file cannot be read.
pub async fn scan<F: DiskFile>(
    file: &F,
    base: Zxid,
    standing: Standing,
    each: &mut (impl FnMut(u64, Record) -> Result<(), StorageError> + Send),
) -> Result<Scanned, StorageError> {
    let mut reader = Reader::new(file, base).await?;
    let ballot = reader.header().await?;
    each(0, Record::Ballot(ballot))?;
    let mut scanned = Scanned {
        last: 0,
        end: 1,
        sealed: false,
        torn: false,
    };
    let mut payload = Vec::new();
    while scanned.end < reader.sectors {
        match reader.sealed_group(scanned.end, &mut payload).await? {
            Group::Whole { begin, next } => {
                reader.records(begin, &payload, each)?;
                scanned.last = begin;
                scanned.end = next;
                scanned.sealed = false;
            }
            Group::Seal => {
                scanned.end += 1;
                scanned.sealed = true;
            }
            Group::Broken { at } => {
                reader.tail(scanned.end, at, standing).await?;
                scanned.torn = true;
                break;
            }
        }
    }
    Ok(scanned)
}

/// What stands where a group may begin.
enum Group {
    Whole { begin: u32, next: u32 },
    Seal,
    Broken { at: u32 },
}

/// Reads a file sector by sector, many at once.
struct Reader<'a, F> {
    file: &'a F,
    name: String,
    base: Zxid,
    /// How many sectors there are, with the one in which the file ends.
    sectors: u32,
    /// The number of the first sector in `bytes`.
    first: u32,
    bytes: Vec<u8>,
}

impl<'a, F: DiskFile> Reader<'a, F> {
    async fn new(file: &'a F, base: Zxid) -> Result<Reader<'a, F>, StorageError> {
        let name = names::segment(base);
        let len = file.len().await.map_err(StorageError::io(&name, "read"))?;
        let Ok(sectors) = u32::try_from(len.div_ceil(SECTOR_BYTES as u64)) else {
            return Err(StorageError::Damaged {
                file: name,
                offset: sector::offset(u32::MAX),
                what: format!("no segment has {len} bytes"),
                remedy: RESTORE.to_owned(),
            });
        };
        Ok(Reader {
            file,
            name,
            base,
            sectors,
            first: 0,
            bytes: Vec::new(),
        })
    }

    async fn sector(&mut self, index: u32) -> Result<Sector<'_>, StorageError> {
        assert!(index < self.sectors);
        let loaded = (self.bytes.len().div_ceil(SECTOR_BYTES)) as u32;
        if index < self.first || index - self.first >= loaded {
            self.first = index;
            self.bytes = self
                .file
                .read_at(sector::offset(index), READ_BYTES)
                .await
                .map_err(StorageError::io(&self.name, "read"))?;
        }
        let at = (index - self.first) as usize * SECTOR_BYTES;
        let bytes = self.bytes.get(at..).unwrap_or_default();
        let bytes = &bytes[..bytes.len().min(SECTOR_BYTES)];
        Ok(sector::read(self.base, index, bytes))
    }

    /// Reads the header.
    async fn header(&mut self) -> Result<Ballot, StorageError> {
        let no_header = |what: &str| format!("{what} where the segment's header should be");
        if self.sectors == 0 {
            return Err(self.damaged(0, no_header("nothing")));
        }
        let payload = match self.sector(0).await? {
            Sector::Whole {
                kind: Kind::Header,
                start: 0,
                length,
                payload,
                ..
            } if length as usize <= payload.len() => payload[..length as usize].to_vec(),
            Sector::Blank | Sector::Short => {
                return Err(self.damaged(0, no_header("nothing")));
            }
            Sector::Whole { .. } | Sector::Bad => {
                return Err(self.damaged(0, no_header("a wrong checksum")));
            }
        };
        self.parse_header(&payload)
    }

    fn parse_header(&self, payload: &[u8]) -> Result<Ballot, StorageError> {
        let other = || self.damaged(0, "this is no segment of a log".to_owned());
        let (magic, rest) = payload.split_first_chunk::<8>().ok_or_else(other)?;
        let (segment_version, rest) = rest.split_first_chunk::<4>().ok_or_else(other)?;
        let (record_version, rest) = rest.split_first_chunk::<4>().ok_or_else(other)?;
        if *magic != MAGIC {
            return Err(other());
        }
        self.check_version("segment", *segment_version, SEGMENT_VERSION)?;
        self.check_version("record", *record_version, RECORD_VERSION)?;
        let (base, rest) = rest.split_first_chunk::<8>().ok_or_else(other)?;
        let base = Zxid(u64::from_be_bytes(*base));
        if base != self.base {
            let what = format!("the header is that of {}", names::segment(base));
            return Err(self.damaged(0, what));
        }
        let mut ballot = None;
        self.records(0, rest, &mut |_, record| {
            ballot = match record {
                Record::Ballot(ballot) => Some(ballot),
                Record::Entry(_) | Record::Cut(_) => None,
            };
            Ok(())
        })?;
        ballot.ok_or_else(other)
    }

    fn check_version(
        &self,
        format: &'static str,
        found: [u8; 4],
        known: u32,
    ) -> Result<(), StorageError> {
        let found = u32::from_be_bytes(found);
        if found == known {
            return Ok(());
        }
        Err(StorageError::Unsupported {
            file: self.name.clone(),
            format,
            found,
            known,
        })
    }

    /// Reads what begins at `begin`; a group into `payload`. A blank sector of which the group
    /// behind it says that it was a seal is no loss: a seal is not synced.
    async fn sealed_group(
        &mut self,
        begin: u32,
        payload: &mut Vec<u8>,
    ) -> Result<Group, StorageError> {
        let found = self.group(begin, payload).await?;
        if matches!(found, Group::Broken { at } if at == begin)
            && begin + 1 < self.sectors
            && self.sector(begin).await? == Sector::Blank
            && matches!(
                self.sector(begin + 1).await?,
                Sector::Whole { kind: Kind::Group, synced, .. } if synced == begin
            )
            && let whole @ Group::Whole { .. } = self.group(begin + 1, payload).await?
        {
            return Ok(whole);
        }
        Ok(found)
    }

    /// Reads the group that begins at `begin` into `payload`.
    async fn group(&mut self, begin: u32, payload: &mut Vec<u8>) -> Result<Group, StorageError> {
        payload.clear();
        let length = match self.sector(begin).await? {
            Sector::Whole {
                kind: Kind::Group,
                start,
                length,
                ..
            } if start == begin => length,
            Sector::Whole {
                kind: Kind::Seal,
                start,
                ..
            } if start == begin => return Ok(Group::Seal),
            _ => return Ok(Group::Broken { at: begin }),
        };
        let next = begin.saturating_add(sector::count(length));
        if length as usize > GROUP_BYTES_MAX + RECORD_BYTES_MAX {
            let what = format!("no group has {length} bytes");
            return Err(self.damaged(begin, what));
        }
        for at in begin..next {
            if at >= self.sectors {
                return Ok(Group::Broken { at });
            }
            match self.sector(at).await? {
                Sector::Whole {
                    kind: Kind::Group,
                    start,
                    length: same,
                    payload: part,
                    ..
                } if start == begin && same == length => payload.extend_from_slice(part),
                _ => return Ok(Group::Broken { at }),
            }
        }
        payload.truncate(length as usize);
        Ok(Group::Whole { begin, next })
    }

    /// Gives the records of a whole group to `each`.
    fn records(
        &self,
        begin: u32,
        payload: &[u8],
        each: &mut impl FnMut(u64, Record) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let mut rest = payload;
        while !rest.is_empty() {
            let parts = rest
                .split_first_chunk::<4>()
                .and_then(|(length, rest)| {
                    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
                })
                .ok_or_else(|| self.damaged(begin, "a record without its end".to_owned()))?;
            let (record, later) = parts;
            let record = decode_record(record).map_err(|error| {
                self.damaged(begin, format!("a record cannot be read: {error}"))
            })?;
            each(sector::offset(begin), record)?;
            rest = later;
        }
        Ok(())
    }

    /// Makes sure that what stands from `begin` on, behind the groups that are whole, was never
    /// synced. What was begun there is broken at `broken`.
    async fn tail(
        &mut self,
        begin: u32,
        broken: u32,
        standing: Standing,
    ) -> Result<(), StorageError> {
        let mut bad = None;
        let mut begun = None;
        for index in begin..self.sectors {
            match self.sector(index).await? {
                Sector::Blank | Sector::Short => {}
                Sector::Whole { synced, .. } if synced > begin => {
                    let what = format!(
                        "a part of a group of records is missing, although byte {} shows that it \
                         was synced",
                        sector::offset(index),
                    );
                    return Err(self.damaged(broken, what));
                }
                Sector::Whole { start, .. } if start >= begin => begun = Some(index),
                Sector::Whole { .. } | Sector::Bad => bad = bad.or(Some(index)),
            }
        }
        match (bad, begun, standing) {
            (Some(bad), _, Standing::Last) => Err(self.damaged_tail(begin, bad)),
            (Some(bad), _, Standing::Followed) => {
                Err(self.damaged(bad, "a sector's checksum is wrong".to_owned()))
            }
            (None, Some(_), Standing::Followed) => {
                let what = "a part of a group of records is missing, although a later segment \
                            shows that it was synced";
                Err(self.damaged(broken, what.to_owned()))
            }
            // Blank sectors are what a seal leaves that was not yet on disk. Should a group have
            // been there, the next segment does not continue where this one ends.
            (None, _, _) => Ok(()),
        }
    }

    fn damaged(&self, index: u32, what: String) -> StorageError {
        StorageError::Damaged {
            file: self.name.clone(),
            offset: sector::offset(index),
            what,
            remedy: RESTORE.to_owned(),
        }
    }

    /// Damage with nothing behind it. An operator may know better: that nothing was acknowledged.
    fn damaged_tail(&self, begin: u32, bad: u32) -> StorageError {
        let cut = sector::offset(begin);
        StorageError::Damaged {
            file: self.name.clone(),
            offset: sector::offset(bad),
            what: "a sector's checksum is wrong, which no interrupted write explains".to_owned(),
            remedy: format!(
                "{RESTORE}. Only if the records from byte {cut} on may be lost although they were \
                 acknowledged: truncate -s {cut} {}",
                self.name
            ),
        }
    }
}
