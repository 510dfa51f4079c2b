//! A state as a stream of chunks, and back. The storage frames the chunks with checksums.
//!
//! A chunk is a run of items, each opened by a byte that tells its kind: one header, the sessions,
//! the ACLs, the znodes, one end. Numbers have fixed lengths and are little-endian; texts and data
//! follow their length. docs/tree.md tells how fast this is.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::codec::cursor::Cursor;
use crate::codec::malformed::Malformed;
use crate::codec::membership::{membership, put_membership};
use crate::config::{FEATURE_LEVEL, HardLimits, LEVEL_QUOTAS, Settings};
use crate::ids::{ConnectionId, Password, SessionId, Token, Zxid};
use crate::membership::Membership;
use crate::store::store::{Session, Store};
use crate::time::WallTime;
use crate::tree::acl::{ACL_ENTRIES_MAX, Acl, AclEntry, Identity, Perms};
use crate::tree::owner::Owner;
use crate::tree::walk::{Builder, Position, Record};

/// The version of this format; stands at the head of every snapshot.
pub const SNAPSHOT_VERSION: u32 = 3;

/// The oldest version that is read. It has no containers and nothing with a time to live, and is
/// the same otherwise.
pub const SNAPSHOT_VERSION_MIN: u32 = 2;

const HEADER: u8 = 1;
const SESSION: u8 = 2;
const ACL: u8 = 3;
const ZNODE: u8 = 4;
const END: u8 = 5;

/// Which of its optional parts a znode has.
const HAS_DATA: u8 = 1;
const HAS_OWNER: u8 = 2;
const HAS_PAST: u8 = 4;

/// What is to be written next.
#[derive(Clone, Copy, Debug)]
enum Next {
    Header,
    /// The first session after this one; `None` before the first.
    Session(Option<SessionId>),
    /// The first ACL with a number above this one.
    Acl(u32),
    Znode(Position),
    End,
    Nothing,
}

/// Writes a state in pieces, so that whoever writes it can pause between them.
#[derive(Debug)]
pub struct SnapshotEncoder {
    store: Store,
    next: Next,
}

impl SnapshotEncoder {
    /// Begins with the first piece of `store`.
    pub fn new(store: Store) -> SnapshotEncoder {
        SnapshotEncoder {
            store,
            next: Next::Header,
        }
    }

    /// Appends about `bytes` bytes of whole items to `out` (more if one item is larger); `false`
    /// and nothing when all has been written.
    pub fn next(&mut self, bytes: usize, out: &mut Vec<u8>) -> bool {
        if matches!(self.next, Next::Nothing) {
            return false;
        }
        let enough = out.len().saturating_add(bytes.max(1));
        while out.len() < enough && !matches!(self.next, Next::Nothing) {
            self.next = self.write(out);
        }
        true
    }

    /// Writes what is next; tells what is after it.
    fn write(&self, out: &mut Vec<u8>) -> Next {
        let tree = self.store.tree();
        match self.next {
            Next::Header => {
                self.write_header(out);
                Next::Session(None)
            }
            Next::Session(last) => match self.session_after(last) {
                Some((id, session)) => {
                    write_session(id, session, out);
                    Next::Session(Some(id))
                }
                None => Next::Acl(0),
            },
            Next::Acl(last) => match tree.acl_after(last) {
                Some((number, acl)) => {
                    write_acl(number, acl, out);
                    Next::Acl(number)
                }
                None => Next::Znode(tree.first()),
            },
            Next::Znode(position) => {
                write_znode(&tree.record(position), out);
                tree.after(position).map_or(Next::End, Next::Znode)
            }
            Next::End => {
                out.push(END);
                out.extend((tree.count() as u64).to_le_bytes());
                out.extend(tree.digest().to_le_bytes());
                Next::Nothing
            }
            Next::Nothing => Next::Nothing,
        }
    }

    fn write_header(&self, out: &mut Vec<u8>) {
        let Settings {
            feature_level,
            data_bytes_max,
            hard_limits,
        } = self.store.settings();
        out.push(HEADER);
        out.extend(SNAPSHOT_VERSION.to_le_bytes());
        out.extend(self.store.applied().0.to_le_bytes());
        out.extend(feature_level.to_le_bytes());
        out.extend(data_bytes_max.to_le_bytes());
        if feature_level >= LEVEL_QUOTAS {
            out.push(u8::from(hard_limits == HardLimits::Enforced));
        }
        let mut members = Vec::new();
        put_membership(&mut members, self.store.membership());
        write_bytes(&members, out);
    }

    fn session_after(&self, last: Option<SessionId>) -> Option<(SessionId, &Session)> {
        use core::ops::Bound::{Excluded, Unbounded};
        let from = last.map_or(Unbounded, Excluded);
        let mut after = self.store.sessions().range((from, Unbounded));
        after.next().map(|(id, session)| (*id, session))
    }
}

fn write_session(id: SessionId, session: &Session, out: &mut Vec<u8>) {
    let Session {
        password,
        timeout_ms,
        attachment,
        sequence,
        token,
    } = session;
    out.push(SESSION);
    out.extend(id.0.to_le_bytes());
    out.extend(password.0);
    out.extend(timeout_ms.to_le_bytes());
    out.extend(attachment.0.to_le_bytes());
    out.extend(sequence.to_le_bytes());
    out.extend(token.incarnation.to_le_bytes());
    out.extend(token.connection.0.to_le_bytes());
}

fn write_acl(number: u32, acl: &Acl, out: &mut Vec<u8>) {
    out.push(ACL);
    out.extend(number.to_le_bytes());
    write_len(acl.0.len(), out);
    for entry in acl.0.iter() {
        out.extend(entry.perms.0.to_le_bytes());
        write_bytes(entry.who.scheme.as_bytes(), out);
        write_bytes(entry.who.id.as_bytes(), out);
    }
}

fn write_znode(record: &Record<'_>, out: &mut Vec<u8>) {
    let mut parts = 0;
    for (has, part) in [
        (record.data.is_some(), HAS_DATA),
        (record.owner.is_some(), HAS_OWNER),
        (record.past.is_some(), HAS_PAST),
    ] {
        parts |= if has { part } else { 0 };
    }
    out.extend([ZNODE, parts]);
    out.extend(record.depth.to_le_bytes());
    out.extend(record.acl.to_le_bytes());
    out.extend(record.czxid.0.to_le_bytes());
    out.extend(record.mzxid.0.to_le_bytes());
    out.extend(record.ctime.0.to_le_bytes());
    out.extend(record.mtime.0.to_le_bytes());
    out.extend(record.version.to_le_bytes());
    out.extend(record.aversion.to_le_bytes());
    write_bytes(record.name.as_bytes(), out);
    if let Some(data) = record.data {
        write_bytes(data, out);
    }
    if let Some(owner) = record.owner {
        out.extend(owner.0.to_le_bytes());
    }
    if let Some((creations, pzxid)) = record.past {
        out.extend(creations.to_le_bytes());
        out.extend(pzxid.0.to_le_bytes());
    }
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_len(bytes.len(), out);
    out.extend_from_slice(bytes);
}

fn write_len(len: usize, out: &mut Vec<u8>) {
    let len = u32::try_from(len).expect("what the store holds is shorter than 4 GiB");
    out.extend(len.to_le_bytes());
}

/// What came with the header.
#[derive(Clone, Debug)]
struct Header {
    applied: Zxid,
    settings: Settings,
    membership: Membership,
}

/// Reads what [`SnapshotEncoder`] wrote, piece by piece, divided as it was written.
#[derive(Debug)]
pub struct SnapshotDecoder {
    /// How many bytes were understood, all pieces together.
    offset: usize,
    /// The kind of the last item: kinds follow each other in the order of their numbers.
    kind: u8,
    header: Option<Header>,
    sessions: BTreeMap<SessionId, Session>,
    tree: Builder,
    end: Option<(u64, u128)>,
}

impl SnapshotDecoder {
    /// Begins.
    pub fn new() -> SnapshotDecoder {
        SnapshotDecoder {
            offset: 0,
            kind: 0,
            header: None,
            sessions: BTreeMap::new(),
            tree: Builder::new(),
            end: None,
        }
    }

    /// Takes the next piece. After an error the decoder is of no use.
    ///
    /// # Errors
    /// If it is not one.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), Malformed> {
        let mut items = Items { rest: piece };
        while !items.rest.is_empty() {
            let understood = self.offset + piece.len() - items.rest.len();
            self.item(&mut items).map_err(|what| Malformed {
                what,
                offset: understood,
            })?;
        }
        self.offset += piece.len();
        Ok(())
    }

    /// The state.
    ///
    /// # Errors
    /// If pieces are missing, or the tree's digest is not the one that was written.
    pub fn finish(self) -> Result<Store, Malformed> {
        let SnapshotDecoder {
            offset,
            kind: _,
            header,
            sessions,
            tree,
            end,
        } = self;
        let malformed = |what| Malformed { what, offset };
        let header = header.ok_or(malformed("header of a snapshot"))?;
        let (count, digest) = end.ok_or(malformed("end of a snapshot"))?;
        let tree = tree.finish(count, digest).map_err(malformed)?;
        Ok(Store::from_parts(
            header.applied,
            header.settings,
            header.membership,
            sessions,
            tree,
        ))
    }

    fn item(&mut self, items: &mut Items<'_>) -> Result<(), &'static str> {
        let kind = items.number::<1>()?[0];
        let repeats = matches!(kind, SESSION | ACL | ZNODE);
        if self.header.is_none() && kind != HEADER {
            return Err("header of a snapshot");
        }
        if kind < self.kind || (kind == self.kind && !repeats) {
            return Err("order of items");
        }
        self.kind = kind;
        match kind {
            HEADER => self.header = Some(read_header(items)?),
            SESSION => {
                let (id, session) = read_session(items)?;
                if self
                    .sessions
                    .last_key_value()
                    .is_some_and(|(last, _)| *last >= id)
                {
                    return Err("order of sessions");
                }
                self.sessions.insert(id, session);
            }
            ACL => {
                let (number, acl) = read_acl(items)?;
                self.tree.add_acl(number, &acl)?;
            }
            ZNODE => {
                let record = read_znode(items)?;
                if record.owner.is_some_and(|owner| {
                    Owner::from_number(owner.0).is_session() && !self.sessions.contains_key(&owner)
                }) {
                    return Err("owner of an ephemeral");
                }
                self.tree.add(&record)?;
            }
            END => {
                let count = u64::from_le_bytes(items.number()?);
                let digest = u128::from_le_bytes(items.number()?);
                self.end = Some((count, digest));
            }
            _ => return Err("kind of an item"),
        }
        Ok(())
    }
}

impl Default for SnapshotDecoder {
    fn default() -> SnapshotDecoder {
        SnapshotDecoder::new()
    }
}

fn read_header(items: &mut Items<'_>) -> Result<Header, &'static str> {
    let version = u32::from_le_bytes(items.number()?);
    if !(SNAPSHOT_VERSION_MIN..=SNAPSHOT_VERSION).contains(&version) {
        return Err("version of the snapshot's format");
    }
    let applied = Zxid(u64::from_le_bytes(items.number()?));
    let feature_level = u32::from_le_bytes(items.number()?);
    if feature_level > FEATURE_LEVEL {
        return Err("feature level that this server knows");
    }
    let data_bytes_max = u32::from_le_bytes(items.number()?);
    let mut hard_limits = HardLimits::Advised;
    if feature_level >= LEVEL_QUOTAS {
        hard_limits = match items.number()? {
            [0] => HardLimits::Advised,
            [1] => HardLimits::Enforced,
            _ => return Err("hard limits"),
        };
    }
    let mut members = Cursor::new(items.bytes()?);
    let membership = membership(&mut members).map_err(|malformed| malformed.what)?;
    members
        .end("end of the members")
        .map_err(|malformed| malformed.what)?;
    Ok(Header {
        applied,
        settings: Settings {
            feature_level,
            data_bytes_max,
            hard_limits,
        },
        membership,
    })
}

fn read_session(items: &mut Items<'_>) -> Result<(SessionId, Session), &'static str> {
    let id = SessionId(i64::from_le_bytes(items.number()?));
    let session = Session {
        password: Password(items.number()?),
        timeout_ms: u32::from_le_bytes(items.number()?),
        attachment: Zxid(u64::from_le_bytes(items.number()?)),
        sequence: u64::from_le_bytes(items.number()?),
        token: Token {
            incarnation: u64::from_le_bytes(items.number()?),
            connection: ConnectionId(u64::from_le_bytes(items.number()?)),
        },
    };
    Ok((id, session))
}

fn read_acl(items: &mut Items<'_>) -> Result<(u32, Acl), &'static str> {
    let number = u32::from_le_bytes(items.number()?);
    let count = u32::from_le_bytes(items.number()?) as usize;
    if count == 0 || count > ACL_ENTRIES_MAX {
        return Err("length of an ACL");
    }
    let mut entries = Vec::new();
    for _ in 0..count {
        let perms = Perms(i32::from_le_bytes(items.number()?));
        let scheme: Arc<str> = Arc::from(items.text()?);
        let id: Arc<str> = Arc::from(items.text()?);
        let who = Identity { scheme, id };
        entries.push(AclEntry { perms, who });
    }
    Ok((number, Acl(Arc::from(entries))))
}

fn read_znode<'a>(items: &mut Items<'a>) -> Result<Record<'a>, &'static str> {
    let parts = items.number::<1>()?[0];
    if parts & !(HAS_DATA | HAS_OWNER | HAS_PAST) != 0 {
        return Err("parts of a znode");
    }
    Ok(Record {
        depth: u16::from_le_bytes(items.number()?),
        acl: u32::from_le_bytes(items.number()?),
        czxid: Zxid(u64::from_le_bytes(items.number()?)),
        mzxid: Zxid(u64::from_le_bytes(items.number()?)),
        ctime: WallTime(i64::from_le_bytes(items.number()?)),
        mtime: WallTime(i64::from_le_bytes(items.number()?)),
        version: i32::from_le_bytes(items.number()?),
        aversion: i32::from_le_bytes(items.number()?),
        name: items.text()?,
        data: match parts & HAS_DATA {
            0 => None,
            _ => Some(items.bytes()?),
        },
        owner: match parts & HAS_OWNER {
            0 => None,
            _ => Some(SessionId(i64::from_le_bytes(items.number()?))),
        },
        past: match parts & HAS_PAST {
            0 => None,
            _ => Some((
                u64::from_le_bytes(items.number()?),
                Zxid(u64::from_le_bytes(items.number()?)),
            )),
        },
    })
}

/// What is left of a piece. It lends out its bytes, so nothing is allocated that is not there.
struct Items<'a> {
    rest: &'a [u8],
}

impl<'a> Items<'a> {
    fn number<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (number, rest) = self.rest.split_first_chunk().ok_or("whole item")?;
        self.rest = rest;
        Ok(*number)
    }

    fn bytes(&mut self) -> Result<&'a [u8], &'static str> {
        let len = u32::from_le_bytes(self.number()?) as usize;
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or("length in an item")?;
        self.rest = rest;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<&'a str, &'static str> {
        core::str::from_utf8(self.bytes()?).map_err(|_| "text")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use crate::ids::{DirectoryId, ServerId};
    use crate::tree::steps::{arb_steps, grown};
    use crate::tree::tree::Tree;

    fn stored(tree: Tree) -> Store {
        let session = |number: i64| Session {
            password: Password([number as u8; 16]),
            timeout_ms: 4_000 + number as u32,
            attachment: Zxid(number as u64),
            sequence: 7,
            token: Token {
                incarnation: number as u64,
                connection: ConnectionId(3),
            },
        };
        let sessions = (1..=4).map(|number| (SessionId(number), session(number)));
        let founders = (1..=3).map(|id| (ServerId(id), DirectoryId(id.into())));
        let membership = Membership::founding(founders.collect());
        let sessions = sessions.collect();
        Store::from_parts(Zxid(900), Settings::default(), membership, sessions, tree)
    }

    fn written(store: &Store, bytes: usize) -> Vec<Vec<u8>> {
        let mut encoder = SnapshotEncoder::new(store.clone());
        let mut pieces = vec![Vec::new()];
        while encoder.next(bytes, pieces.last_mut().unwrap()) {
            pieces.push(Vec::new());
        }
        assert_eq!(pieces.pop(), Some(Vec::new()));
        pieces
    }

    fn read(pieces: &[Vec<u8>]) -> Result<Store, Malformed> {
        let mut decoder = SnapshotDecoder::new();
        for piece in pieces {
            decoder.feed(piece)?;
        }
        decoder.finish()
    }

    fn assert_same(left: &Store, right: &Store) {
        assert_eq!(left.applied(), right.applied());
        assert_eq!(left.settings(), right.settings());
        assert_eq!(left.sessions(), right.sessions());
        assert_eq!(left.tree().digest(), right.tree().digest());
        assert_eq!(left.tree().count(), right.tree().count());
        assert_eq!(left.tree().bytes(), right.tree().bytes());
        assert!(left.tree().ephemerals().eq(right.tree().ephemerals()));
        let paths = left.tree().paths();
        assert_eq!(paths, right.tree().paths());
        for path in paths.iter().map(|path| path.as_str()) {
            assert_eq!(left.tree().stat(path), right.tree().stat(path));
            assert_eq!(left.tree().data(path, &[]), right.tree().data(path, &[]));
            assert_eq!(left.tree().acl(path, &[]), right.tree().acl(path, &[]));
        }
    }

    #[test]
    fn pieces_are_about_as_long_as_asked() {
        let store = stored(Tree::new());
        assert_eq!(written(&store, usize::MAX).len(), 1);
        let pieces = written(&store, 100);
        assert!(pieces.len() > 3);
        assert!(pieces.iter().all(|piece| piece.len() < 200));
        assert_eq!(written(&store, 0), written(&store, 1));
    }

    #[test]
    fn what_is_missing_is_missed() {
        let pieces = written(&stored(Tree::new()), 1);
        assert!(read(&pieces).is_ok());
        for without in 0..pieces.len() {
            // The four sessions own nothing, so the rest is a whole state without one of them.
            if (1..=4).contains(&without) {
                continue;
            }
            let mut fewer = pieces.clone();
            fewer.remove(without);
            assert!(read(&fewer).is_err(), "without piece {without}");
            assert!(read(&pieces[..without]).is_err(), "{without} pieces");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_state_comes_back(steps in arb_steps(60), bytes in 1..4_000usize) {
            let store = stored(grown(&steps));
            let pieces = written(&store, bytes);
            let mut back = read(&pieces).unwrap();
            assert_same(&store, &back);
            back.tree.rekey(bytes as u64);
            assert_same(&store, &back);
            prop_assert_eq!(written(&back, usize::MAX).concat().len(), pieces.concat().len());
        }

        /// Damage is refused or, where it hits what no digest covers, gives a sound state.
        #[test]
        fn damage_never_panics(
            steps in arb_steps(20),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let mut piece = written(&stored(grown(&steps)), usize::MAX).concat();
            let whole = piece.clone();
            for (at, byte) in damage {
                let at = at.index(piece.len());
                piece[at] = byte;
            }
            if let Some(cut) = cut {
                piece.truncate(cut.index(piece.len()));
                prop_assert!(read(core::slice::from_ref(&piece)).is_err());
            }
            match read(core::slice::from_ref(&piece)) {
                Ok(store) => assert_same(&store, &read(&written(&store, 512)).unwrap()),
                Err(malformed) => prop_assert!(malformed.offset <= whole.len()),
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(pieces in prop::collection::vec(any::<Vec<u8>>(), 0..4)) {
            prop_assert!(read(&pieces).is_err());
        }
    }
}
