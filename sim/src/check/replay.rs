//! Replays `L` through the reference, in one pass, and holds every answer against it at the
//! position of its header: W2, W4, R1, T1, T2, T3 and E4; leaves what the other checkers need.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use althing_core::code::Code;
use althing_core::ids::{SessionId, Zxid};
use althing_core::node::reply::{EventKind, Response};
use althing_core::node::request::Request;
use althing_core::store::txn::{Action, Ending, Origin, Outcome};
use althing_core::tree::acl::{Acl, Identity};
use althing_core::tree::op::{Done, Op};
use althing_core::tree::path::Path;

use crate::check::differing::{differing, op_path, owner_shown, read_path, same_answer};
use crate::check::findings::Findings;
use crate::check::lapses::{Lapse, Lapses};
use crate::check::locals;
use crate::check::log::{Agreed, Log, becomes};
use crate::check::rates;
use crate::check::wire::{Answer, Asked, Wire};
use crate::check::wording::{difference, identities};
use crate::reference::access;
use crate::reference::reference::{Applied, Rearmed, Reference};
use crate::reference::tree::Table;
use crate::telling::{self, requested};

/// The life of a session, as `L` tells it.
#[derive(Clone, Debug)]
pub struct Life {
    /// When its opening was executed.
    pub opened_at: Duration,
    /// The attachments: position, when they were saved and executed, and their time-outs.
    pub attached: Vec<(Zxid, Duration, Duration, u32)>,
    /// Its end.
    pub closed: Option<Closed>,
}

/// The end of a session.
#[derive(Clone, Copy, Debug)]
pub struct Closed {
    /// Its position.
    pub zxid: Zxid,
    /// Why.
    pub ending: Ending,
    /// When it was decided.
    pub saved_at: Duration,
    /// When it was executed.
    pub executed_at: Duration,
    /// How many ephemerals went.
    pub ephemerals: usize,
}

/// When watches are told, what, and under which access control list.
pub type ToldAt = (Zxid, EventKind, Acl);

/// What the replay leaves behind.
#[derive(Clone, Debug, Default)]
pub struct Replayed {
    /// Every session that ever was.
    pub lives: BTreeMap<SessionId, Life>,
    /// What watches are told, by what they wait for, in the order of the positions.
    pub told: BTreeMap<(Table, Path), Vec<ToldAt>>,
    /// What each answered `setWatches` (link, request) had to do.
    pub rearmed: BTreeMap<(usize, usize), Vec<Rearmed>>,
    /// The writes that executed in each attachment, in the order of the positions.
    pub writes: BTreeMap<(SessionId, Zxid), Vec<Zxid>>,
    /// When znodes could have gone by themselves.
    pub lapses: Vec<Lapse>,
}

/// Replays `log` beside the answers on `wire`.
pub fn replay(log: &Log, wire: &Wire<'_>, findings: &mut Findings) -> Replayed {
    let mut answers: BTreeMap<Zxid, Vec<(usize, usize)>> = BTreeMap::new();
    for (link, joined) in wire.links.iter().enumerate() {
        for (index, asked) in joined.asked.iter().enumerate() {
            if let Some(answer) = asked.answer {
                answers.entry(answer.zxid).or_default().push((link, index));
            }
        }
    }
    let mut replaying = Replaying {
        wire,
        findings,
        state: Reference::new(),
        replayed: Replayed::default(),
        refused_multis: BTreeSet::new(),
        sequences: BTreeMap::new(),
        lapses: Lapses::default(),
    };
    for (link, index) in answers.remove(&Zxid::ZERO).unwrap_or_default() {
        replaying.judge(None, link, index);
    }
    for agreed in &log.agreed {
        let applied = replaying.state.apply(agreed.zxid, &agreed.txn);
        replaying.note(agreed, &applied);
        for (link, index) in answers.remove(&agreed.zxid).unwrap_or_default() {
            replaying.judge(Some((agreed, &applied)), link, index);
        }
    }
    replaying.replayed.lapses = replaying.lapses.into_all();
    replaying.replayed
}

struct Replaying<'a, 'f> {
    wire: &'a Wire<'a>,
    findings: &'f mut Findings,
    state: Reference,
    replayed: Replayed,
    /// Paths that a refused multi would have changed and nobody has changed since.
    refused_multis: BTreeSet<Path>,
    /// By parent (its path and its creation): the last sequence number that a client was given.
    sequences: BTreeMap<(Path, Zxid), u64>,
    lapses: Lapses,
}

impl Replaying<'_, '_> {
    fn note(&mut self, agreed: &Agreed, applied: &Applied) {
        let zxid = agreed.zxid;
        let tree = &self.state.tree;
        self.lapses.see(agreed, &applied.told, tree);
        for told in &applied.told {
            let key = (told.table, told.path.clone());
            self.refused_multis.remove(&told.path);
            let of_key = self.replayed.told.entry(key).or_default();
            of_key.push((zxid, told.kind, told.acl.clone()));
        }
        if let (Action::Multi(ops), Outcome::NoneWritten { .. }) =
            (&agreed.txn.action, &applied.outcome)
        {
            self.refused_multis.extend(ops.iter().map(op_path));
        }
        // A part of a snapshot is no client's write, though it goes the way of such.
        let executed = !matches!(
            applied.outcome,
            Outcome::Refused(_) | Outcome::Repeated | Outcome::Restored { .. }
        );
        if let Some(origin) = agreed.txn.origin
            && executed
        {
            let key = (origin.session, origin.attachment);
            self.replayed.writes.entry(key).or_default().push(zxid);
        }
        match &applied.outcome {
            Outcome::Attached {
                session,
                timeout_ms,
                ..
            } => {
                let life = self.replayed.lives.entry(*session).or_insert_with(|| Life {
                    opened_at: agreed.executed_at,
                    attached: Vec::new(),
                    closed: None,
                });
                let attached = (zxid, agreed.saved_at, agreed.executed_at, *timeout_ms);
                life.attached.push(attached);
            }
            Outcome::SessionClosed {
                session,
                existed: true,
                ephemerals,
            } => {
                let Action::CloseSession { ending, .. } = agreed.txn.action else {
                    return;
                };
                let life = self.replayed.lives.get_mut(session);
                life.expect("the reference closes what it opened").closed = Some(Closed {
                    zxid,
                    ending,
                    saved_at: agreed.saved_at,
                    executed_at: agreed.executed_at,
                    ephemerals: *ephemerals,
                });
            }
            _ => {}
        }
    }

    /// Holds one answer against the state after its position.
    fn judge(&mut self, here: Option<(&Agreed, &Applied)>, link: usize, index: usize) {
        let asked = &self.wire.links[link].asked[index];
        let answer = asked.answer.expect("only what was answered is judged");
        if self.excused(link, asked, &answer) {
            return;
        }
        if self.wire.links[link].reads_only() && self.is_refused_to_readers(asked, &answer) {
            return;
        }
        if asked.is_write() {
            self.judge_write(here, link, index, &answer);
            return;
        }
        let identities = match asked.request {
            Request::Read(_) => self.wire.links[link].identities(index),
            _ => Vec::new(),
        };
        let expected = match asked.request {
            Request::Read(read) => {
                let session = self.wire.links[link].session();
                self.state.read(read, &identities, session)
            }
            Request::Sync { path } => Ok(Response::Synced { path: path.clone() }),
            Request::Auth { scheme, credential } => {
                let digest = scheme == "digest" && access::digest_identity(credential).is_some();
                let mode = scheme == "althing" && access::reading(credential).is_some();
                match digest || mode || scheme == "ip" {
                    true => Ok(Response::Empty),
                    false => Err(Code::AuthFailed),
                }
            }
            Request::AddWatch { .. } => Ok(Response::Added),
            // Which watches there are depends on the link: that is looked at where they are. So is
            // who proves what.
            Request::CheckWatches { .. } | Request::RemoveWatches { .. } | Request::Sasl { .. } => {
                return;
            }
            Request::Refused(code) => Err(*code),
            Request::Unknown { .. } => Err(Code::Unimplemented),
            Request::SetWatches(watches) => {
                let rearmed = self.state.rearm(watches);
                self.replayed.rearmed.insert((link, index), rearmed);
                Ok(Response::Empty)
            }
            _ => Ok(Response::Empty),
        };
        self.compare(link, asked, &answer, &expected);
    }

    /// What needs a leader is refused where there is none; who only reads may still leave.
    fn is_refused_to_readers(&self, asked: &Asked<'_>, answer: &Answer<'_>) -> bool {
        *answer.result == Err(Code::NotReadOnly) || *asked.request == Request::CloseSession
    }

    /// A connection whose session ended, or moved elsewhere, may be told so instead.
    fn excused(&self, link: usize, asked: &Asked<'_>, answer: &Answer<'_>) -> bool {
        let Some(session) = self.wire.links[link].session() else {
            return false;
        };
        let known = self.state.sessions.get(&session);
        match answer.result {
            Err(Code::SessionExpired) => known.is_none(),
            Err(Code::SessionMoved) => {
                let mine = self.wire.links[link].attachment;
                known.is_some_and(|known| mine.is_none_or(|mine| mine < known.attachment))
            }
            // Who may be told that, and when, is judged by itself.
            Err(Code::ThrottledOp) => rates::costs(asked.request),
            // The disk was full: the write is not in L (the matching of writes sees to that).
            Err(Code::SystemError) => asked.is_write(),
            _ => false,
        }
    }

    fn judge_write(
        &mut self,
        here: Option<(&Agreed, &Applied)>,
        link: usize,
        index: usize,
        answer: &Answer<'_>,
    ) {
        let joined = &self.wire.links[link];
        let asked = &joined.asked[index];
        let session = joined.session();
        let is_known = session.is_some_and(|session| self.state.sessions.contains_key(&session));
        if joined.is_local() && !is_known && locals::is_own_affair(asked.request, answer.result) {
            return;
        }
        let own = here.filter(|(agreed, _)| {
            let of = agreed.txn.origin.map(|origin| origin.session);
            (of.is_none() || of == session) && becomes(asked.request, &agreed.txn.action, session)
        });
        let Some((agreed, applied)) = own else {
            self.findings.add("W2 result", answer.at, session, || {
                let (request, told) = (requested(asked.request), telling::answer(answer.result));
                let (client, zxid) = (joined.client, answer.zxid);
                format!(
                    "{client} was answered {told} to {request} at {zxid}: not what stands there"
                )
            });
            return;
        };
        let should: BTreeSet<Identity> = joined.identities(index).into_iter().collect();
        let did: BTreeSet<Identity> = agreed.txn.identities.iter().cloned().collect();
        if should != did && !matches!(asked.request, Request::CloseSession) {
            self.findings.add("T3 access", answer.at, session, || {
                let (did, should) = (identities(&did), identities(&should));
                let (client, zxid) = (joined.client, agreed.zxid);
                format!("{client} wrote {zxid} as {did}, but is {should}")
            });
        }
        let Some(expected) = answer_of(&applied.outcome, asked.request) else {
            self.findings.add("W5 once", answer.at, session, || {
                let Origin { sequence, .. } = agreed.txn.origin.expect("only writes repeat");
                format!("{} repeats write {sequence} and was answered", agreed.zxid)
            });
            return;
        };
        self.compare(link, asked, answer, &expected);
        self.sequence(link, asked, answer);
    }

    fn compare(
        &mut self,
        link: usize,
        asked: &Asked<'_>,
        answer: &Answer<'_>,
        expected: &Result<Response, Code>,
    ) {
        if same_answer(expected, answer.result) {
            return;
        }
        let orphaned = owner_shown(answer.result)
            .is_some_and(|owner| !self.state.sessions.contains_key(&SessionId(owner)));
        let mut invariant = differing(asked.request, expected, answer.result);
        if orphaned {
            invariant = "E4 no orphan";
        } else if let Request::Read(read) = asked.request
            && invariant == "R1 read"
            && read_path(read).is_some_and(|path| self.refused_multis.contains(path))
        {
            invariant = "W4 atomic";
        }
        let joined = &self.wire.links[link];
        self.findings
            .add(invariant, answer.at, joined.session(), || {
                let (client, zxid) = (joined.client, answer.zxid);
                let (request, how) = (
                    requested(asked.request),
                    difference(expected, answer.result),
                );
                format!("{client} asked {request}; answered at {zxid}, {how}")
            });
    }

    /// Sequence numbers by their own law, whatever the reference thinks.
    fn sequence(&mut self, link: usize, asked: &Asked<'_>, answer: &Answer<'_>) {
        let done: Vec<(&Op, &Done)> = match (asked.request, answer.result) {
            (Request::Write(op), Ok(Response::Done(done))) => vec![(op, done)],
            (Request::Multi(ops), Ok(Response::AllDone(done))) => ops.iter().zip(done).collect(),
            _ => return,
        };
        let joined = &self.wire.links[link];
        for (op, done) in done {
            let (Op::Create(create), Done::Created { path, .. }) = (op, done) else {
                continue;
            };
            let number = path.as_str().strip_prefix(&create.place.to_text());
            let Some(Ok(number)) = number
                .filter(|text| text.len() >= 10)
                .map(str::parse::<u64>)
            else {
                continue;
            };
            let parent = create.place.parent();
            let Some(znode) = self.state.tree.get(parent.as_str()) else {
                continue;
            };
            let key = (parent.clone(), znode.czxid);
            let before = self.sequences.insert(key, number);
            if let Some(before) = before.filter(|before| *before >= number) {
                self.findings
                    .add("T1 sequence", answer.at, joined.session(), || {
                        format!("{} was given {path} after number {before}", joined.client)
                    });
            }
        }
    }
}

/// What a client is told of an outcome; `None` if nobody is told.
fn answer_of(outcome: &Outcome, request: &Request) -> Option<Result<Response, Code>> {
    Some(match outcome {
        Outcome::Written(Ok(done)) => Ok(Response::Done(done.clone())),
        Outcome::Written(Err(code)) | Outcome::Refused(code) => Err(*code),
        Outcome::AllWritten(done) => Ok(Response::AllDone(done.clone())),
        Outcome::NoneWritten { index, code } => {
            let Request::Multi(ops) = request else {
                return None;
            };
            Ok(Response::NoneDone {
                count: ops.len(),
                index: *index,
                code: *code,
            })
        }
        Outcome::Amended(Ok((data, stat))) => Ok(Response::Data {
            data: data.clone(),
            stat: *stat,
        }),
        Outcome::Amended(Err(code)) => Err(*code),
        Outcome::SessionClosed { .. } => Ok(Response::Empty),
        _ => return None,
    })
}
