//! The writes of sessions of one server alone against `L`: W3 and W5.
//!
//! `L` tells whose a write is, but not which of the session's connections it came on. One whose
//! answer got lost may look like another that was sent later, so every way to read `L` is followed,
//! and only what fits none of them is a finding.

use std::collections::{BTreeMap, BTreeSet};

use althing_core::ids::{SessionId, Zxid};
use althing_core::store::txn::Action;

use crate::check::executed::{told, undone};
use crate::check::findings::Findings;
use crate::check::locals;
use crate::check::log::{Agreed, Log, becomes};
use crate::check::replay::Replayed;
use crate::check::wire::{Asked, Wire};
use crate::check::wording::action;
use crate::telling::requested;

/// What one session has sent, over all its links.
struct Sent<'a, 'w> {
    wire: &'w Wire<'a>,
    session: SessionId,
    /// The link of each, and the write, in the order in which they left.
    writes: Vec<(usize, Asked<'a>)>,
    /// The places of those that were answered, by what was shown.
    answered: BTreeMap<Zxid, Vec<usize>>,
    /// The places of those that were not.
    unanswered: Vec<usize>,
    /// Does the ensemble never take the session over?
    is_alone: bool,
}

/// Walks the writes of each session that `is_known`, over all its links, and those of `L` side by
/// side: each of `L` was sent, once, and those of one link execute in its order.
pub fn check(
    log: &Log,
    wire: &Wire<'_>,
    replayed: &Replayed,
    is_known: impl Fn(SessionId) -> bool,
    claimed: &mut BTreeSet<Zxid>,
    findings: &mut Findings,
) {
    let mut executed: BTreeMap<SessionId, BTreeSet<Zxid>> = BTreeMap::new();
    for ((session, _), zxids) in &replayed.writes {
        if session.is_local() {
            executed.entry(*session).or_default().extend(zxids);
        }
    }
    let mut writes: BTreeMap<SessionId, Vec<(usize, Asked<'_>)>> = BTreeMap::new();
    for (number, link) in wire.links.iter().enumerate() {
        if let Some(session) = link.session().filter(|_| link.is_local()) {
            let sent = link.asked.iter().filter(|asked| asked.is_write());
            let sent = sent.map(|asked| (number, *asked));
            writes.entry(session).or_default().extend(sent);
        }
    }
    for (session, zxids) in executed {
        claimed.extend(&zxids);
        if !is_known(session) {
            continue;
        }
        let sent = writes.remove(&session).unwrap_or_default();
        let is_alone = !replayed.lives.contains_key(&session);
        Sent::new(wire, session, sent, is_alone).walk(log, &zxids, findings);
    }
}

impl<'a, 'w> Sent<'a, 'w> {
    fn new(
        wire: &'w Wire<'a>,
        session: SessionId,
        writes: Vec<(usize, Asked<'a>)>,
        is_alone: bool,
    ) -> Sent<'a, 'w> {
        let mut answered: BTreeMap<Zxid, Vec<usize>> = BTreeMap::new();
        let mut unanswered = Vec::new();
        for (place, (_, asked)) in writes.iter().enumerate() {
            match asked.answer {
                Some(answer) => answered.entry(answer.zxid).or_default().push(place),
                None => unanswered.push(place),
            }
        }
        Sent {
            wire,
            session,
            writes,
            answered,
            unanswered,
            is_alone,
        }
    }

    fn walk(&self, log: &Log, zxids: &BTreeSet<Zxid>, findings: &mut Findings) {
        // How far one may have come, by every way to read it.
        let mut reached = BTreeSet::from([0]);
        for zxid in zxids {
            let agreed = log.at(*zxid).expect("the replay went over L");
            if matches!(agreed.txn.action, Action::Upgrade { .. }) {
                // Its server asks for it.
                continue;
            }
            let goes_on: BTreeSet<usize> = reached
                .iter()
                .flat_map(|from| self.fitting(agreed, *from))
                .map(|place| place + 1)
                .collect();
            reached = match goes_on.is_empty() {
                true => {
                    let from = *reached.first().expect("one has come somewhere");
                    BTreeSet::from([self.blame(agreed, from, findings)])
                }
                false => goes_on,
            };
        }
    }

    /// The places from `from` on of what may be this entry of `L`, without anything of its link
    /// that is left out.
    fn fitting(&self, agreed: &Agreed, from: usize) -> impl Iterator<Item = usize> {
        let shown = self.answered.get(&agreed.zxid).into_iter().flatten();
        let shown = shown.filter(|place| !self.is_undone(**place) && self.is(agreed, **place));
        let mut places: Vec<usize> = shown.copied().collect();
        if places.is_empty() {
            let silent = self.unanswered.iter().copied();
            places.extend(silent.filter(|place| self.is(agreed, *place)));
        }
        places.retain(|place| {
            let (_, asked) = &self.writes[*place];
            *place >= from && asked.at <= agreed.saved_at && self.left_out(from, *place).is_none()
        });
        places.into_iter()
    }

    fn is(&self, agreed: &Agreed, place: usize) -> bool {
        let (_, asked) = &self.writes[place];
        becomes(asked.request, &agreed.txn.action, Some(self.session))
    }

    /// Was its client told that it is not done?
    fn is_undone(&self, place: usize) -> bool {
        let answer = self.writes[place].1.answer;
        answer.is_some_and(|answer| answer.result.as_ref().is_err_and(undone))
    }

    /// What was sent on the link of `place`, at `from` or later and before it, and should have been
    /// done.
    fn left_out(&self, from: usize, place: usize) -> Option<&Asked<'a>> {
        let (link, _) = self.writes[place];
        let between = self.writes[from..place].iter().filter(|(of, before)| {
            let answer = before.answer.map(|answer| answer.result);
            let is_refused = self.is_alone && locals::may_be_refused(before.request);
            *of == link && !matches!(answer, Some(Err(_))) && !is_refused
        });
        between.map(|(_, asked)| asked).next()
    }

    /// Says what is wrong with an entry of `L` that fits nowhere; gives how far one has come then.
    fn blame(&self, agreed: &Agreed, from: usize, findings: &mut Findings) -> usize {
        let (zxid, session) = (agreed.zxid, self.session);
        let is = |place: &usize| {
            let answer = self.writes[*place].1.answer;
            let is_another =
                answer.is_some_and(|answer| answer.zxid != zxid && answer.result.is_err());
            !is_another && self.is(agreed, *place)
        };
        let Some(place) = (from..self.writes.len()).find(is) else {
            let how = match (0..from).any(|place| is(&place)) {
                true => "a second time",
                false => "though nobody sent it",
            };
            findings.add("W5 once", agreed.executed_at, Some(session), || {
                let action = action(&agreed.txn.action);
                format!("{zxid} of session {session} executed {how}: {action}")
            });
            return from;
        };
        let (link, asked) = &self.writes[place];
        let link = &self.wire.links[*link];
        if let Some(skipped) = self.left_out(from, place) {
            findings.add("W3 order", agreed.executed_at, Some(session), || {
                let (client, skipped) = (link.client, requested(skipped.request));
                format!("{zxid} of {client} executed before {skipped}")
            });
        }
        told(agreed, link, asked, findings);
        place + 1
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use althing_core::code::Code;
    use althing_core::ids::{ServerId, Xid};
    use althing_core::node::reply::{Reply, Response};
    use althing_core::node::request::Request;
    use althing_core::store::txn::Txn;
    use althing_core::time::WallTime;

    use super::*;
    use crate::check::tests::locals::{SECRET, SESSION, client, deletion, handshake};
    use crate::check::wire;
    use crate::history::{History, LinkId, Moment, Received, Sent as Frame, What};

    /// What the client does and hears, on which link.
    enum Does {
        Comes(u64),
        Asks(u64, &'static str),
        /// It is told that this is what stands there.
        Hears(u64, &'static str, u64),
    }

    /// What is found if these deletions executed, at 1 and so on, after all that.
    fn found(does: &[Does], executed: &[&str]) -> Vec<&'static str> {
        let claim = Some((SESSION, SECRET));
        let whats = does.iter().flat_map(|does| match does {
            Does::Comes(link) => {
                let asked = claim.filter(|_| *link > 1);
                handshake(LinkId(*link), ServerId(1), asked, claim).to_vec()
            }
            Does::Asks(link, path) => vec![What::Sent {
                client: client(),
                link: LinkId(*link),
                frame: Frame::Request {
                    xid: Xid(0),
                    request: Arc::new(Request::Write(deletion(path))),
                },
            }],
            Does::Hears(link, path, zxid) => vec![What::Received {
                client: client(),
                link: LinkId(*link),
                frame: Received::Reply {
                    reply: Reply::Answer {
                        xid: Xid(0),
                        zxid: Zxid(*zxid),
                        result: match *path {
                            "" => Err(Code::NoNode),
                            _ => Ok(Response::Empty),
                        },
                    },
                    request: Some(Arc::new(Request::Write(deletion("/a")))),
                },
            }],
        });
        let moments = whats.zip(1..).map(|(what, ms)| Moment {
            at: Duration::from_millis(ms),
            what,
        });
        let history = History {
            moments: moments.collect(),
        };
        let end = Duration::from_secs(1);
        let agreed = executed.iter().zip(1..).map(|(path, zxid)| Agreed {
            zxid: Zxid(zxid),
            txn: Arc::new(Txn::of_servers(WallTime(0), Action::Write(deletion(path)))),
            saved_at: end,
            executed_at: end,
            digest: None,
        });
        let log = Log {
            agreed: agreed.collect(),
        };
        let zxids = log.agreed.iter().map(|agreed| agreed.zxid);
        let replayed = Replayed {
            writes: BTreeMap::from([((SESSION, Zxid::ZERO), zxids.collect())]),
            ..Replayed::default()
        };
        let mut findings = Findings::default();
        let wire = wire::join(&history, &mut findings);
        check(
            &log,
            &wire,
            &replayed,
            |_| true,
            &mut BTreeSet::new(),
            &mut findings,
        );
        let found = findings.sorted().into_iter();
        found.map(|found| found.invariant).collect()
    }

    use Does::{Asks, Comes, Hears};

    /// As in seed 90800004 of local-sessions-under-fire at 19055fa: a false alarm.
    #[test]
    fn what_one_link_lost_another_may_have_done() {
        // The answer says which of the two it was.
        let does = [
            Comes(1),
            Asks(1, "/a"),
            Asks(1, "/b"),
            Comes(2),
            Asks(2, "/b"),
            Hears(2, "", 1),
        ];
        assert_eq!(found(&does, &["/b"]), [""; 0]);
        // Nobody says, and it may have been the second.
        assert_eq!(found(&does[..5], &["/b"]), [""; 0]);
        // It may have been the first as well: what came after it on its link is not left out.
        let again = [
            Comes(1),
            Asks(1, "/a"),
            Comes(2),
            Asks(2, "/a"),
            Asks(2, "/b"),
        ];
        assert_eq!(found(&again, &["/a", "/b"]), [""; 0]);
        assert_eq!(found(&again, &["/a", "/a", "/b"]), [""; 0]);
        assert_eq!(found(&again, &["/b"]), ["W3 order"]);
    }

    #[test]
    fn nothing_is_done_twice_before_its_turn_or_unasked() {
        let does = [Comes(1), Asks(1, "/a"), Asks(1, "/b"), Comes(2)];
        assert_eq!(found(&does, &["/a", "/b"]), [""; 0]);
        assert_eq!(found(&does, &["/a", "/a"]), ["W5 once"]);
        assert_eq!(found(&does, &["/b"]), ["W3 order"]);
        assert_eq!(found(&does, &["/b", "/a"]), ["W3 order", "W5 once"]);
        assert_eq!(found(&does, &["/c"]), ["W5 once"]);
        let told = [Comes(1), Asks(1, "/a"), Hears(1, "/a", 2)];
        assert_eq!(found(&told, &["/a"]), ["W5 once"]);
    }
}
