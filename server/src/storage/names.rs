//! What the files of a data directory are called.
//!
//! - `identity`: whose the directory is.
//! - `log.<position>`: a segment of the log. The position, 16 hexadecimal digits, is the one that
//!   its first entry follows, so the names alone tell which segment holds what.
//! - `snapshot.<position>`: the state after the transaction at that position.
//! - `received.snapshot.<position>` and `received.log.<position>`: another server's snapshot, which
//!   is being put in the place of the log, and the segment with which the log goes on.
//! - `temporary.<name>`: a file that is being written.
//! - `damaged.snapshot.<position>`: a snapshot that was replaced by an older one and the log.
//!
//! All other files are left alone.

use althing_core::ids::Zxid;

/// Whose the directory is.
pub const IDENTITY: &str = "identity";

/// The segment whose entries follow `base`.
pub fn segment(base: Zxid) -> String {
    format!("log.{:016x}", base.0)
}

/// The snapshot at `zxid`.
pub fn snapshot(zxid: Zxid) -> String {
    format!("snapshot.{:016x}", zxid.0)
}

/// The snapshot at `zxid`, of another server, as long as it has not replaced the log.
pub fn received_snapshot(zxid: Zxid) -> String {
    format!("received.{}", snapshot(zxid))
}

/// The segment that follows it.
pub fn received_segment(base: Zxid) -> String {
    format!("received.{}", segment(base))
}

/// The file of this name while it is written.
pub fn temporary(name: &str) -> String {
    format!("temporary.{name}")
}

/// The snapshot at `zxid` when it is out of use.
pub fn damaged(zxid: Zxid) -> String {
    format!("damaged.{}", snapshot(zxid))
}

/// A file of the storage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Name {
    /// A segment of the log and the position that it follows.
    Segment(Zxid),
    /// A snapshot and its position.
    Snapshot(Zxid),
    /// A snapshot of another server that has not replaced the log yet, and its position.
    ReceivedSnapshot(Zxid),
    /// The segment with which the log goes on after it.
    ReceivedSegment(Zxid),
    /// Whose the directory is.
    Identity,
    /// A left-over of a file that was never finished.
    Temporary,
}

impl Name {
    /// What the file of this name is; `None` if it is not one of the storage's.
    pub fn parse(name: &str) -> Option<Name> {
        if name.starts_with("temporary.") {
            return Some(Name::Temporary);
        }
        if name == IDENTITY {
            return Some(Name::Identity);
        }
        let (kind, position) = name.rsplit_once('.')?;
        let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if position.len() != 16 || !position.bytes().all(lower) {
            return None;
        }
        let position = Zxid(u64::from_str_radix(position, 16).ok()?);
        match kind {
            "log" => Some(Name::Segment(position)),
            "snapshot" => Some(Name::Snapshot(position)),
            "received.log" => Some(Name::ReceivedSegment(position)),
            "received.snapshot" => Some(Name::ReceivedSnapshot(position)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let zxid = Zxid(0x0000_0012_89ab_cdef);
        assert_eq!(segment(zxid), "log.0000001289abcdef");
        assert_eq!(Name::parse(&segment(zxid)), Some(Name::Segment(zxid)));
        assert_eq!(Name::parse(&snapshot(zxid)), Some(Name::Snapshot(zxid)));
        let received = received_snapshot(zxid);
        assert_eq!(received, "received.snapshot.0000001289abcdef");
        assert_eq!(Name::parse(&received), Some(Name::ReceivedSnapshot(zxid)));
        assert_eq!(Name::parse(&temporary(&received)), Some(Name::Temporary));
        let received = received_segment(zxid);
        assert_eq!(Name::parse(&received), Some(Name::ReceivedSegment(zxid)));
        assert_eq!(Name::parse(IDENTITY), Some(Name::Identity));
        for other in [
            &*damaged(zxid),
            "lock",
            "identity.0000001289abcdef",
            "log",
            "log.",
            "log.12",
            "log.0000001289ABCDEF",
            "log.+000001289abcdef",
            "snapshot.0000001289abcdef.old",
        ] {
            assert_eq!(Name::parse(other), None, "{other}");
        }
    }
}
