//! The records of the log. The storage frames them with a length and a checksum.
//!
//! The format is our own: a byte says which record, which action, which operation it is, and its
//! fields follow in their order. Whatever decodes can be executed; and every record has exactly
//! one spelling.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::code::Code;
use crate::codec::compact;
use crate::codec::cursor::Cursor;
use crate::codec::malformed::Malformed;
use crate::codec::membership::{membership, put_membership, put_server, server};
use crate::codec::op;
use crate::config::{HardLimits, LEVEL_QUOTAS, Settings};
use crate::ids::{ConnectionId, Epoch, Password, ServerId, SessionId, Token, Zxid};
use crate::quorum::log::{Ballot, Record, Standing};
use crate::store::roster::{Decision, Wish};
use crate::store::txn::{Action, Ending, Entry, Origin, Txn};
use crate::time::WallTime;
use crate::tree::op::Op;
use crate::tree::path::Path;
use crate::tree::restoring::Restoration;

/// The version of this format; stands at the head of every log segment.
pub const RECORD_VERSION: u32 = 2;

const BALLOT: u8 = 1;
const ENTRY: u8 = 2;
const CUT: u8 = 3;

const STRANGER: u8 = 0;
const ADMITTED: u8 = 1;

const NO_ORIGIN: u8 = 0;
const ORIGIN: u8 = 1;

const OPEN_EPOCH: u8 = 1;
const OPEN_SESSION: u8 = 2;
const ATTACH: u8 = 3;
const CLOSE_SESSION: u8 = 4;
const WRITE: u8 = 5;
const MULTI: u8 = 6;
const RECONFIGURE: u8 = 7;
const REAP: u8 = 8;
const AMEND: u8 = 9;
const UPGRADE: u8 = 10;
const RESTORE: u8 = 11;

/// What a wish has, bit by bit.
const JOINING: u8 = 1;
const LEAVING: u8 = 2;
const MEMBERS: u8 = 4;

const ADVISED: u8 = 0;
const ENFORCED: u8 = 1;

const OPEN: u8 = 0;
const REFUSED: u8 = 1;
const GRANTED: u8 = 2;

/// The shortest path: `/` with its length.
const PATH_BYTES_MIN: usize = 2;

const CLOSED: u8 = 1;
const EXPIRED: u8 = 2;

/// The shortest transaction: its wall time, no origin, no identities, an action with its tag and a
/// count.
pub(super) const TXN_BYTES_MIN: usize = 5;

/// The shortest entry: its position and a transaction.
pub(super) const ENTRY_BYTES_MIN: usize = 1 + TXN_BYTES_MIN;

/// Stands for nobody; no server has this number.
const NO_VOTE: u8 = 0;

/// Appends a record.
///
/// # Panics
/// If it names the server 0, or an epoch beyond [`Epoch::MAX`]: there are none.
pub fn encode_record(record: &Record, out: &mut Vec<u8>) {
    match record {
        Record::Ballot(ballot) => {
            out.push(BALLOT);
            put_epoch(out, ballot.epoch);
            match ballot.voted_for {
                Some(server) => put_server(out, server),
                None => out.push(NO_VOTE),
            }
            put_standing(out, ballot.standing);
        }
        Record::Entry(entry) => {
            out.push(ENTRY);
            put_entry(out, entry);
        }
        Record::Cut(after) => {
            out.push(CUT);
            put_zxid(out, *after);
        }
    }
}

/// Reads a record that fills `bytes`.
///
/// # Errors
/// If `bytes` are not one record.
pub fn decode_record(bytes: &[u8]) -> Result<Record, Malformed> {
    let input = &mut Cursor::new(bytes);
    let at = input.malformed("record");
    let record = match compact::byte(input, "record")? {
        BALLOT => Record::Ballot(ballot(input)?),
        ENTRY => Record::Entry(entry(input)?),
        CUT => Record::Cut(zxid(input)?),
        _ => return Err(at),
    };
    input.end("end of the record")?;
    Ok(record)
}

fn ballot(input: &mut Cursor<'_>) -> Result<Ballot, Malformed> {
    let epoch = epoch(input)?;
    let voted_for = match compact::byte(input, "vote")? {
        NO_VOTE => None,
        server => Some(ServerId(server)),
    };
    Ok(Ballot {
        epoch,
        voted_for,
        standing: standing(input)?,
    })
}

/// Appends whether a data directory speaks for its server.
pub(super) fn put_standing(out: &mut Vec<u8>, standing: Standing) {
    out.push(match standing {
        Standing::Stranger => STRANGER,
        Standing::Admitted => ADMITTED,
    });
}

/// Reads whether a data directory speaks for its server.
pub(super) fn standing(input: &mut Cursor<'_>) -> Result<Standing, Malformed> {
    let at = input.malformed("standing");
    match compact::byte(input, "standing")? {
        STRANGER => Ok(Standing::Stranger),
        ADMITTED => Ok(Standing::Admitted),
        _ => Err(at),
    }
}

pub(super) fn put_epoch(out: &mut Vec<u8>, epoch: Epoch) {
    assert!(epoch <= Epoch::MAX, "no such epoch");
    compact::put_number(out, epoch.0.into());
}

pub(super) fn epoch(input: &mut Cursor<'_>) -> Result<Epoch, Malformed> {
    let at = input.malformed("epoch");
    let epoch = Epoch(compact::number32(input, "epoch")?);
    match epoch <= Epoch::MAX {
        true => Ok(epoch),
        false => Err(at),
    }
}

pub(super) fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    put_zxid(out, entry.zxid);
    put_txn(out, &entry.txn);
}

pub(super) fn entry(input: &mut Cursor<'_>) -> Result<Entry, Malformed> {
    Ok(Entry {
        zxid: zxid(input)?,
        txn: Arc::new(txn(input)?),
    })
}

pub(super) fn put_zxid(out: &mut Vec<u8>, zxid: Zxid) {
    assert!(zxid.epoch() <= Epoch::MAX, "no such epoch");
    compact::put_number(out, zxid.0);
}

/// A position that a leader can have proposed.
pub(super) fn zxid(input: &mut Cursor<'_>) -> Result<Zxid, Malformed> {
    let at = input.malformed("zxid");
    let zxid = Zxid(compact::number(input, "zxid")?);
    match zxid.epoch() <= Epoch::MAX {
        true => Ok(zxid),
        false => Err(at),
    }
}

pub(super) fn put_txn(out: &mut Vec<u8>, txn: &Txn) {
    compact::put_signed(out, txn.wall.0);
    match txn.origin {
        None => out.push(NO_ORIGIN),
        Some(origin) => {
            out.push(ORIGIN);
            compact::put_signed(out, origin.session.0);
            compact::put_number(out, origin.attachment.0);
            compact::put_number(out, origin.sequence);
        }
    }
    compact::put_count(out, txn.identities.len());
    for identity in txn.identities.iter() {
        op::put_identity(out, identity);
    }
    put_action(out, &txn.action);
}

pub(super) fn txn(input: &mut Cursor<'_>) -> Result<Txn, Malformed> {
    let wall = WallTime(compact::signed(input, "wall time")?);
    let at = input.malformed("origin");
    let origin = match compact::byte(input, "origin")? {
        NO_ORIGIN => None,
        ORIGIN => Some(Origin {
            session: session(input)?,
            attachment: Zxid(compact::number(input, "attachment")?),
            sequence: compact::number(input, "sequence")?,
        }),
        _ => return Err(at),
    };
    let count = compact::count(input, op::IDENTITY_BYTES_MIN, "identities")?;
    let mut identities = Vec::with_capacity(count);
    for _ in 0..count {
        identities.push(op::identity(input)?);
    }
    Ok(Txn {
        wall,
        origin,
        identities: Arc::from(identities),
        action: action(input)?,
    })
}

fn put_action(out: &mut Vec<u8>, action: &Action) {
    match action {
        Action::OpenEpoch {
            leader,
            settings,
            membership,
        } => {
            out.push(OPEN_EPOCH);
            put_server(out, *leader);
            put_settings(out, *settings);
            put_membership(out, membership);
        }
        Action::Reconfigure { membership } => {
            out.push(RECONFIGURE);
            put_membership(out, membership);
        }
        Action::Amend { wish, decision } => {
            out.push(AMEND);
            put_wish(out, wish);
            put_decision(out, decision);
        }
        Action::OpenSession {
            password,
            timeout_ms,
            token,
        } => {
            out.push(OPEN_SESSION);
            put_attachment(out, *password, *timeout_ms, *token);
        }
        Action::Attach {
            session,
            password,
            timeout_ms,
            token,
        } => {
            out.push(ATTACH);
            compact::put_signed(out, session.0);
            put_attachment(out, *password, *timeout_ms, *token);
        }
        Action::Upgrade {
            password,
            timeout_ms,
            token,
        } => {
            out.push(UPGRADE);
            put_attachment(out, *password, *timeout_ms, *token);
        }
        Action::CloseSession { session, ending } => {
            out.push(CLOSE_SESSION);
            compact::put_signed(out, session.0);
            put_ending(out, *ending);
        }
        Action::Write(op) => {
            out.push(WRITE);
            op::put_op(out, op);
        }
        Action::Multi(ops) => {
            out.push(MULTI);
            put_ops(out, ops);
        }
        Action::Reap { paths } => {
            out.push(REAP);
            put_paths(out, paths);
        }
        Action::Restore(part) => {
            out.push(RESTORE);
            put_restoration(out, part);
        }
    }
}

fn put_ops(out: &mut Vec<u8>, ops: &[Op]) {
    compact::put_count(out, ops.len());
    for op in ops {
        op::put_op(out, op);
    }
}

fn put_paths(out: &mut Vec<u8>, paths: &[Path]) {
    compact::put_count(out, paths.len());
    for path in paths {
        compact::put_text(out, path.as_str());
    }
}

fn put_restoration(out: &mut Vec<u8>, part: &Restoration) {
    compact::put_number(out, part.mark);
    put_ops(out, &part.ops);
    compact::put_count(out, part.counts.len());
    for (path, creations) in &part.counts {
        compact::put_text(out, path.as_str());
        compact::put_number(out, *creations);
    }
}

fn restoration(input: &mut Cursor<'_>) -> Result<Restoration, Malformed> {
    let mark = compact::number(input, "mark")?;
    let ops = ops(input)?;
    let count = compact::count(input, PATH_BYTES_MIN + 1, "counts of creations")?;
    let mut counts = Vec::with_capacity(count);
    for _ in 0..count {
        let path = op::path(input)?;
        counts.push((path, compact::number(input, "count of creations")?));
    }
    Ok(Restoration { mark, ops, counts })
}

fn ops(input: &mut Cursor<'_>) -> Result<Vec<Op>, Malformed> {
    let count = compact::count(input, op::OP_BYTES_MIN, "operations")?;
    let mut ops = Vec::with_capacity(count);
    for _ in 0..count {
        ops.push(op::op(input)?);
    }
    Ok(ops)
}

fn put_attachment(out: &mut Vec<u8>, password: Password, timeout_ms: u32, token: Token) {
    out.extend_from_slice(&password.0);
    compact::put_number(out, timeout_ms.into());
    put_token(out, token);
}

fn put_ending(out: &mut Vec<u8>, ending: Ending) {
    out.push(match ending {
        Ending::Closed => CLOSED,
        Ending::Expired => EXPIRED,
    });
}

/// What a level of the semantics brought with it is written from that level on.
fn put_settings(out: &mut Vec<u8>, settings: Settings) {
    compact::put_number(out, settings.feature_level.into());
    compact::put_number(out, settings.data_bytes_max.into());
    if settings.feature_level >= LEVEL_QUOTAS {
        out.push(match settings.hard_limits {
            HardLimits::Advised => ADVISED,
            HardLimits::Enforced => ENFORCED,
        });
    }
}

fn settings(input: &mut Cursor<'_>) -> Result<Settings, Malformed> {
    let feature_level = compact::number32(input, "feature level")?;
    let data_bytes_max = compact::number32(input, "limit of data")?;
    let at = input.malformed("hard limits");
    let hard_limits = match feature_level >= LEVEL_QUOTAS {
        true => match compact::byte(input, "hard limits")? {
            ADVISED => HardLimits::Advised,
            ENFORCED => HardLimits::Enforced,
            _ => return Err(at),
        },
        false => HardLimits::Advised,
    };
    Ok(Settings {
        feature_level,
        data_bytes_max,
        hard_limits,
    })
}

fn action(input: &mut Cursor<'_>) -> Result<Action, Malformed> {
    let at = input.malformed("action");
    Ok(match compact::byte(input, "action")? {
        OPEN_EPOCH => Action::OpenEpoch {
            leader: server(input)?,
            settings: settings(input)?,
            membership: membership(input)?,
        },
        RECONFIGURE => Action::Reconfigure {
            membership: membership(input)?,
        },
        AMEND => Action::Amend {
            wish: wish(input)?,
            decision: decision(input)?,
        },
        OPEN_SESSION => Action::OpenSession {
            password: password(input)?,
            timeout_ms: compact::number32(input, "time-out")?,
            token: token(input)?,
        },
        ATTACH => Action::Attach {
            session: session(input)?,
            password: password(input)?,
            timeout_ms: compact::number32(input, "time-out")?,
            token: token(input)?,
        },
        UPGRADE => Action::Upgrade {
            password: password(input)?,
            timeout_ms: compact::number32(input, "time-out")?,
            token: token(input)?,
        },
        CLOSE_SESSION => Action::CloseSession {
            session: session(input)?,
            ending: ending(input)?,
        },
        WRITE => Action::Write(op::op(input)?),
        MULTI => Action::Multi(ops(input)?),
        RESTORE => Action::Restore(restoration(input)?),
        REAP => {
            let count = compact::count(input, PATH_BYTES_MIN, "paths")?;
            let mut paths = Vec::with_capacity(count);
            for _ in 0..count {
                paths.push(op::path(input)?);
            }
            Action::Reap { paths }
        }
        _ => return Err(at),
    })
}

fn put_wish(out: &mut Vec<u8>, wish: &Wish) {
    let texts = [
        (&wish.joining, JOINING),
        (&wish.leaving, LEAVING),
        (&wish.members, MEMBERS),
    ];
    let has = |(text, part): &(&Option<_>, u8)| text.as_ref().map_or(0, |_| *part);
    out.push(texts.iter().map(has).sum());
    for text in texts.iter().filter_map(|(text, _)| text.as_ref()) {
        compact::put_text(out, text);
    }
    compact::put_signed(out, wish.version);
}

fn wish(input: &mut Cursor<'_>) -> Result<Wish, Malformed> {
    let at = input.malformed("wish");
    let parts = compact::byte(input, "wish")?;
    if parts & !(JOINING | LEAVING | MEMBERS) != 0 {
        return Err(at);
    }
    let mut text = |part: u8| match parts & part {
        0 => Ok(None),
        _ => compact::text(input, "wish").map(|text| Some(Arc::from(text))),
    };
    let (joining, leaving, members) = (text(JOINING)?, text(LEAVING)?, text(MEMBERS)?);
    Ok(Wish {
        joining,
        leaving,
        members,
        version: compact::signed(input, "version of the configuration")?,
    })
}

fn put_decision(out: &mut Vec<u8>, decision: &Decision) {
    match decision {
        Decision::Open => out.push(OPEN),
        Decision::Refused(code) => {
            out.push(REFUSED);
            compact::put_signed(out, code.number().into());
        }
        Decision::Granted(membership) => {
            out.push(GRANTED);
            put_membership(out, membership);
        }
    }
}

fn decision(input: &mut Cursor<'_>) -> Result<Decision, Malformed> {
    let at = input.malformed("decision");
    Ok(match compact::byte(input, "decision")? {
        OPEN => Decision::Open,
        REFUSED => {
            let code = Code::from_number(compact::signed32(input, "code")?);
            Decision::Refused(code.ok_or(at)?)
        }
        GRANTED => Decision::Granted(membership(input)?),
        _ => return Err(at),
    })
}

fn put_token(out: &mut Vec<u8>, token: Token) {
    out.extend_from_slice(&token.incarnation.to_le_bytes());
    compact::put_number(out, token.connection.0);
}

fn token(input: &mut Cursor<'_>) -> Result<Token, Malformed> {
    Ok(Token {
        incarnation: u64::from_le_bytes(input.array("token")?),
        connection: ConnectionId(compact::number(input, "token")?),
    })
}

pub(super) fn session(input: &mut Cursor<'_>) -> Result<SessionId, Malformed> {
    compact::signed(input, "session").map(SessionId)
}

fn password(input: &mut Cursor<'_>) -> Result<Password, Malformed> {
    input.array("password").map(Password)
}

fn ending(input: &mut Cursor<'_>) -> Result<Ending, Malformed> {
    let at = input.malformed("ending");
    match compact::byte(input, "ending")? {
        CLOSED => Ok(Ending::Closed),
        EXPIRED => Ok(Ending::Expired),
        _ => Err(at),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec as many;
    use proptest::prelude::*;

    use super::*;
    use crate::strategies;
    use crate::tree::acl::Identity;
    use crate::tree::op::Op;
    use crate::tree::path::Path;

    fn encoded(record: &Record) -> Vec<u8> {
        let mut out = Vec::new();
        encode_record(record, &mut out);
        out
    }

    /// A change of these bytes is a change of the format: then the version must change too.
    #[test]
    fn the_format() {
        let ballot = Record::Ballot(Ballot {
            epoch: Epoch(300),
            voted_for: Some(ServerId(3)),
            standing: Standing::Admitted,
        });
        assert_eq!(encoded(&ballot), [1, 0xac, 2, 3, 1]);
        let entry = Record::Entry(Entry {
            zxid: Zxid(5),
            txn: Arc::new(Txn {
                wall: WallTime(-1),
                origin: Some(Origin {
                    session: SessionId(1),
                    attachment: Zxid(2),
                    sequence: 3,
                }),
                identities: Arc::from([Identity::new("ip", "::1")]),
                action: Action::Write(Op::Delete {
                    path: Path::parse("/a").unwrap(),
                    version: -1,
                }),
            }),
        });
        assert_eq!(
            encoded(&entry),
            b"\x02\x05\x01\x01\x02\x02\x03\x01\x02ip\x03::1\x05\x02\x02/a\x01"
        );
        assert_eq!(RECORD_VERSION, 2);
    }

    #[test]
    fn no_second_spelling() {
        assert!(decode_record(&[1, 5, 0, 0]).is_ok());
        assert!(decode_record(&[1, 0x85, 0, 0, 0]).is_err(), "a longer 5");
        assert!(decode_record(&[1, 5, 0, 0, 0]).is_err(), "a byte too many");
        assert!(decode_record(&[1, 0xff, 0xff, 0xff, 0xff, 7, 0, 0]).is_ok());
        let beyond = [1, 0x80, 0x80, 0x80, 0x80, 8, 0, 0];
        assert!(decode_record(&beyond).is_err(), "an epoch of 2^31");
    }

    fn same_bytes_again(bytes: &[u8]) -> Result<(), TestCaseError> {
        if let Ok(record) = decode_record(bytes) {
            prop_assert_eq!(encoded(&record), bytes);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn records_come_back(record in strategies::record()) {
            prop_assert_eq!(decode_record(&encoded(&record)), Ok(record));
        }

        #[test]
        fn noise_never_panics(bytes in many(any::<u8>(), 0..100)) {
            same_bytes_again(&bytes)?;
        }

        /// What still decodes after damage is spelled exactly so.
        #[test]
        fn damage_never_panics(
            bytes in strategies::damaged(strategies::record().prop_map(|record| encoded(&record))),
        ) {
            same_bytes_again(&bytes)?;
        }
    }
}
