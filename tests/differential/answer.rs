//! What a server said, in pieces that can be compared: numbers that may differ between two servers
//! are told apart from those that may not.

use std::fmt::Write as _;

use crate::ask::{
    ADD_WATCH, AUTH, Ask, CHECK, COUNT_BELOW, CREATE, CREATE_CONTAINER, CREATE_TTL, CREATE2,
    DELETE, EXISTS, GET_ACL, GET_CHILDREN, GET_CHILDREN2, GET_DATA, GET_EPHEMERALS, MULTI,
    MULTI_READ, SET_ACL, SET_DATA, SYNC, WHO_AM_I,
};
use crate::wire::Reader;

/// A piece of what was said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    /// Must be the same on both servers.
    Same(String),
    /// The position of a change: must stand in the same order to the others.
    Zxid(i64),
    /// The position that a server had reached: must lie between the same two changes. What failed
    /// may have taken a position, or not.
    Reached(i64),
    /// A session, or the mark of another lifetime.
    Owner(i64),
    /// A time in milliseconds: what happened at one position happened at one time.
    Time { zxid: i64, ms: i64 },
}

/// A message, or what came instead of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    pub kind: LineKind,
    pub pieces: Vec<Piece>,
}

/// What a line is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineKind {
    /// An answer.
    Answer,
    /// The answer to the end of a session.
    Farewell,
    /// An event of a watch.
    Event,
    /// The beginning or the end of a connection.
    Connection,
}

impl Line {
    pub fn connection(text: impl Into<String>) -> Line {
        Line {
            kind: LineKind::Connection,
            pieces: vec![Piece::Same(text.into())],
        }
    }

    /// The position in its header.
    pub fn zxid(&self) -> Option<i64> {
        self.pieces.iter().find_map(|piece| match piece {
            Piece::Zxid(zxid) | Piece::Reached(zxid) => Some(*zxid),
            _ => None,
        })
    }
}

/// Collects pieces.
#[derive(Default)]
struct Pieces(Vec<Piece>);

impl Pieces {
    fn same(&mut self, text: impl Into<String>) -> &mut Pieces {
        self.0.push(Piece::Same(text.into()));
        self
    }
}

/// When an event came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    Live,
    /// Before the answer to a setWatches.
    CatchingUp,
}

/// Reads a notification.
pub fn event(when: When, zxid: i64, error: i32, body: &[u8]) -> Line {
    let mut pieces = Pieces::default();
    match when {
        When::Live => pieces.same("event at").0.push(Piece::Zxid(zxid)),
        // Rule: ZooKeeper tells no position of what a client has missed; we tell where we are.
        When::CatchingUp => drop(pieces.same("event that was missed")),
    }
    let mut input = Reader(body);
    let mut read = || {
        let (kind, state) = (input.int()?, input.int()?);
        let path = input.text()?;
        Some(format!("kind {kind} state {state} {path:?} {:?}", input.0))
    };
    let told = read().unwrap_or_else(|| format!("unreadable {body:?}"));
    pieces.same(format!("error {error} {told}"));
    Line {
        kind: LineKind::Event,
        pieces: pieces.0,
    }
}

/// Reads the answer to `ask`; `xid` is the one that came, `asked` the one that was to come.
pub fn answer(ask: &Ask, asked: i32, xid: i32, zxid: i64, error: i32, body: &[u8]) -> Line {
    let mut pieces = Pieces::default();
    if xid != asked {
        pieces.same(format!("xid {xid} and not {asked}"));
    }
    let mut said = Pieces::default();
    let mut input = Reader(body);
    let whole = match error {
        0 => body_of(&mut said, &mut input, ask),
        _ => Some(()),
    };
    let has_failed = error != 0 || said.0.iter().any(is_failed_part);
    let position = match ask.changes() && !has_failed {
        true => Piece::Zxid(zxid),
        false => Piece::Reached(zxid),
    };
    pieces.same(format!("answer to {}", ask.opcode()));
    // Rule: ZooKeeper tells no position when it knows an identity; ours is that of any answer.
    if ask.opcode() != AUTH {
        pieces.same("at").0.push(position);
    }
    pieces.same(format!("error {error}"));
    pieces.0.extend(said.0);
    if whole.is_none() || !input.0.is_empty() {
        pieces.same(format!("unreadable or too long: {body:?}"));
    }
    Line {
        kind: match ask.opcode() {
            crate::ask::CLOSE_SESSION => LineKind::Farewell,
            _ => LineKind::Answer,
        },
        pieces: pieces.0,
    }
}

/// Is this the header of a part of a multi that failed, or was not reached?
fn is_failed_part(piece: &Piece) -> bool {
    matches!(piece, Piece::Same(text) if text.starts_with(FAILED_PART))
}

/// How the words about a failed part of a multi begin.
const FAILED_PART: &str = "; part -1 false";

fn body_of(out: &mut Pieces, input: &mut Reader<'_>, ask: &Ask) -> Option<()> {
    match ask.opcode() {
        MULTI | MULTI_READ => parts(out, input),
        opcode => result(out, input, opcode),
    }
}

/// What follows a header without an error.
fn result(out: &mut Pieces, input: &mut Reader<'_>, opcode: i32) -> Option<()> {
    match opcode {
        CREATE | SYNC => {
            let path = input.text()?;
            out.same(format!("{path:?}"));
        }
        CREATE2 | CREATE_CONTAINER | CREATE_TTL => {
            let path = input.text()?;
            out.same(format!("{path:?}"));
            stat(out, input)?;
        }
        EXISTS | SET_DATA | SET_ACL => stat(out, input)?,
        GET_DATA => {
            let data = input.buffer()?;
            out.same(shown(data.as_deref()));
            stat(out, input)?;
        }
        GET_ACL => {
            let entry = |input: &mut Reader<'_>| Some((input.int()?, input.text()?, input.text()?));
            let mut acl = input.list(entry)?;
            // Rule: as whom somebody is known has no order in ZooKeeper, nor what `auth` becomes.
            acl.iter_mut().for_each(|acl| acl.sort());
            // Rule: what `auth` becomes stands once in our list, maybe twice in theirs.
            acl.iter_mut().for_each(Vec::dedup);
            out.same(format!("{acl:?}"));
            stat(out, input)?;
        }
        GET_CHILDREN | GET_EPHEMERALS => names(out, input)?,
        GET_CHILDREN2 => {
            names(out, input)?;
            stat(out, input)?;
        }
        COUNT_BELOW => {
            let count = input.int()?;
            out.same(format!("count {count}"));
        }
        ADD_WATCH => {
            let code = input.int()?;
            out.same(format!("code {code}"));
        }
        WHO_AM_I => {
            let identity = |input: &mut Reader<'_>| Some((input.text()?, input.text()?));
            let mut identities = input.list(identity)?;
            // The same rule.
            identities.iter_mut().for_each(|all| all.sort());
            out.same(format!("{identities:?}"));
        }
        _ => {}
    }
    Some(())
}

/// Rule: ZooKeeper promises no order of names, and has none; so they are put in order here.
fn names(out: &mut Pieces, input: &mut Reader<'_>) -> Option<()> {
    let mut names = input.list(Reader::text)?;
    if let Some(names) = &mut names {
        names.sort();
    }
    out.same(format!("{names:?}"));
    Some(())
}

fn parts(out: &mut Pieces, input: &mut Reader<'_>) -> Option<()> {
    loop {
        let (opcode, done, error) = (input.int()?, input.truth()?, input.int()?);
        out.same(format!("; part {opcode} {done} {error}"));
        match (done, opcode) {
            (true, _) => return Some(()),
            (false, -1) => {
                let code = input.int()?;
                out.same(format!("code {code}"));
            }
            (false, CHECK | DELETE) => {}
            (false, opcode) => result(out, input, opcode)?,
        }
    }
}

fn stat(out: &mut Pieces, input: &mut Reader<'_>) -> Option<()> {
    let (czxid, mzxid) = (input.long()?, input.long()?);
    let (ctime, mtime) = (input.long()?, input.long()?);
    let (version, cversion, aversion) = (input.int()?, input.int()?, input.int()?);
    let owner = input.long()?;
    let (length, children) = (input.int()?, input.int()?);
    let pzxid = input.long()?;
    out.same("stat: c").0.push(Piece::Zxid(czxid));
    out.0.push(Piece::Time {
        zxid: czxid,
        ms: ctime,
    });
    out.same("m").0.push(Piece::Zxid(mzxid));
    out.0.push(Piece::Time {
        zxid: mzxid,
        ms: mtime,
    });
    out.same("p").0.push(Piece::Zxid(pzxid));
    out.same(format!("versions {version} {cversion} {aversion}"));
    out.same("owner").0.push(Piece::Owner(owner));
    out.same(format!("{length} bytes {children} children"));
    Some(())
}

/// Data for people: long data is not written out.
fn shown(data: Option<&[u8]>) -> String {
    let Some(data) = data else {
        return "no data".to_owned();
    };
    let mut text = format!("data of {}:", data.len());
    for byte in data.iter().take(16) {
        write!(text, " {byte:02x}").expect("a String takes everything");
    }
    match data.iter().all(|byte| Some(byte) == data.first()) {
        true => text.push_str(" all alike"),
        false => text.push_str(" ..."),
    }
    text
}
