//! The grain of the log: sectors of 512 bytes, each with a checksum of its own.
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | CRC-32C of the segment's position, the sector's number and the bytes below |
//! | 4 | the kind |
//! | 5 | 1 if a seal stands right before its group, which may not have been synced; otherwise 0 |
//! | 6..8 | zero |
//! | 8..12 | the number of the sector with which its group begins |
//! | 12..16 | how many bytes of payload the whole group has |
//! | 16..512 | payload, filled up with zeros |
//!
//! Numbers are big-endian, as everywhere in this project's formats.

use althing_core::ids::Zxid;

/// What disks write whole or not at all.
pub const SECTOR_BYTES: usize = 512;

/// What a sector holds besides its head.
pub const PAYLOAD_BYTES: usize = SECTOR_BYTES - HEAD_BYTES;

const HEAD_BYTES: usize = 16;

/// What a sector is part of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The head of a segment: its first sector.
    Header = 1,
    /// A group of records that were written and synced together.
    Group = 2,
    /// Says that everything before it was synced.
    Seal = 3,
}

impl Kind {
    fn from_number(number: u8) -> Option<Kind> {
        match number {
            1 => Some(Kind::Header),
            2 => Some(Kind::Group),
            3 => Some(Kind::Seal),
            _ => None,
        }
    }
}

/// Where something is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// The first sector that it takes.
    pub start: u32,
    /// Everything before this sector is synced. It is `start`, or the one before it if a seal
    /// stands there.
    pub synced: u32,
}

impl Span {
    /// Behind what is synced.
    pub fn at(start: u32) -> Span {
        let synced = start;
        Span { start, synced }
    }
}

/// What stands where a sector may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sector<'a> {
    /// One that was written here.
    Whole {
        /// As part of what.
        kind: Kind,
        /// With which sector that begins.
        start: u32,
        /// When it was written, everything before this sector had been synced.
        synced: u32,
        /// Its bytes of payload, over all its sectors.
        length: u32,
        /// The bytes of this sector, with what fills it up.
        payload: &'a [u8],
    },
    /// Zeros: nothing was written here, or not yet when the power went.
    Blank,
    /// The file ends within it: a write was interrupted.
    Short,
    /// Something else: no write of ours, whole or interrupted, leaves this.
    Bad,
}

/// Reads what stands at the sector number `index` of the segment that follows `base`.
pub fn read(base: Zxid, index: u32, bytes: &[u8]) -> Sector<'_> {
    if bytes.len() < SECTOR_BYTES {
        return Sector::Short;
    }
    assert!(bytes.len() == SECTOR_BYTES);
    if bytes.iter().all(|byte| *byte == 0) {
        return Sector::Blank;
    }
    match Kind::from_number(bytes[4]) {
        Some(kind) if word(bytes, 0) == checksum(base, index, &bytes[4..]) => Sector::Whole {
            kind,
            start: word(bytes, 8),
            synced: word(bytes, 8).saturating_sub(u32::from(bytes[5])),
            length: word(bytes, 12),
            payload: &bytes[HEAD_BYTES..],
        },
        _ => Sector::Bad,
    }
}

/// Appends the sectors of one group, or of a header or a seal, which begins at the sector number
/// `start` of the segment that follows `base`; everything before the sector number `synced` is
/// synced. At least one sector, so that a seal needs no payload.
pub fn write(
    base: Zxid,
    Span { start, synced }: Span,
    kind: Kind,
    payload: &[u8],
    out: &mut Vec<u8>,
) {
    assert!(synced <= start, "what is not written cannot be synced");
    let seals = start - synced;
    assert!(seals <= 1, "nothing but one seal is written without a sync");
    let length = u32::try_from(payload.len()).expect("groups are limited");
    out.reserve(count(length) as usize * SECTOR_BYTES);
    let mut index = start;
    let mut rest = payload;
    loop {
        let (now, later) = rest.split_at(rest.len().min(PAYLOAD_BYTES));
        let mut sector = [0; SECTOR_BYTES];
        sector[4] = kind as u8;
        sector[5] = seals as u8;
        sector[8..12].copy_from_slice(&start.to_be_bytes());
        sector[12..16].copy_from_slice(&length.to_be_bytes());
        sector[HEAD_BYTES..HEAD_BYTES + now.len()].copy_from_slice(now);
        let checksum = checksum(base, index, &sector[4..]);
        sector[..4].copy_from_slice(&checksum.to_be_bytes());
        out.extend_from_slice(&sector);
        if later.is_empty() {
            return;
        }
        rest = later;
        index += 1;
    }
}

/// How many sectors a group with that many bytes of payload has.
pub fn count(length: u32) -> u32 {
    length.div_ceil(PAYLOAD_BYTES as u32).max(1)
}

/// Where a sector begins in its file.
pub fn offset(index: u32) -> u64 {
    u64::from(index) * SECTOR_BYTES as u64
}

/// Covers where the sector belongs, so that one that was written to the wrong place is noticed. A
/// header is read before its position can be trusted, so it is bound to none.
fn checksum(base: Zxid, index: u32, bytes: &[u8]) -> u32 {
    let base = if index == 0 { Zxid::ZERO } else { base };
    let place = crc32c::crc32c(&base.0.to_be_bytes());
    let place = crc32c::crc32c_append(place, &index.to_be_bytes());
    crc32c::crc32c_append(place, bytes)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BASE: Zxid = Zxid(0x0000_0001_0000_0007);

    proptest! {
        #[test]
        fn a_group_is_read_as_it_was_written(
            payload in proptest::collection::vec(any::<u8>(), 0..2000),
            start in 1..u32::MAX / 2,
        ) {
            let mut bytes = Vec::new();
            write(BASE, Span::at(start), Kind::Group, &payload, &mut bytes);
            prop_assert_eq!(bytes.len(), count(payload.len() as u32) as usize * SECTOR_BYTES);
            let mut found = Vec::new();
            for (index, chunk) in (start..).zip(bytes.chunks(SECTOR_BYTES)) {
                let Sector::Whole { kind, start: begin, length, payload: part, .. } =
                    read(BASE, index, chunk)
                else {
                    panic!("not whole");
                };
                prop_assert_eq!((kind, begin), (Kind::Group, start));
                prop_assert_eq!(length as usize, payload.len());
                found.extend_from_slice(part);
            }
            found.truncate(payload.len());
            prop_assert_eq!(found, payload);
        }

        #[test]
        fn any_flipped_bit_and_any_wrong_place_is_noticed(
            payload in proptest::collection::vec(any::<u8>(), 0..PAYLOAD_BYTES),
            bit in 0..SECTOR_BYTES * 8,
        ) {
            let mut bytes = Vec::new();
            write(BASE, Span::at(5), Kind::Group, &payload, &mut bytes);
            prop_assert_eq!(read(BASE, 6, &bytes), Sector::Bad);
            prop_assert_eq!(read(Zxid(BASE.0 + 1), 5, &bytes), Sector::Bad);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(read(BASE, 5, &bytes), Sector::Bad);
        }
    }

    #[test]
    fn zeros_are_blank_and_a_part_is_short() {
        assert_eq!(read(BASE, 1, &[0; SECTOR_BYTES]), Sector::Blank);
        assert_eq!(read(BASE, 1, &[1; SECTOR_BYTES - 1]), Sector::Short);
    }
}
