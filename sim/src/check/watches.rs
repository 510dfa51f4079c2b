//! Watches, from the wire: every registration that a client saw succeed, and every event: V1 to V6.
//!
//! An event that is owed is judged when a later answer shows the state it tells of. A link that
//! broke before owes nothing: the client sets its watches again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use althing_core::code::Code;
use althing_core::ids::Zxid;
use althing_core::node::reply::{Response, WatchEvent};
use althing_core::node::request::{Read, Request, Watching};
use althing_core::tree::acl::{Acl, Identity, Perms};
use althing_core::tree::path::Path;
use althing_core::watch::{WatchKind, Whichever};

use crate::check::findings::Findings;
use crate::check::rates::is_throttled;
use crate::check::registered::{Registered, Told};
use crate::check::replay::Replayed;
use crate::check::wire::{Answer, Frame, Link, Wire};
use crate::check::wording::event as words;
use crate::reference::access;
use crate::reference::reference::Rearmed;
use crate::reference::tree::Table;

/// How an event that a change fires stands with the access control list.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Grant {
    /// It may not: nothing is told.
    Denied,
    /// It depends on when exactly an identity was added.
    Open,
    /// The client may read the znode: it is owed the event.
    Owed,
}

/// One link's watches as its server must have them.
struct Watched<'a, 'f> {
    replayed: &'a Replayed,
    link: &'a Link<'a>,
    findings: &'f mut Findings,
    /// Every watch that was left.
    left: Vec<Registered<'a>>,
    /// What registered watches will be told, as often as it happens, and whether they must be.
    /// What must be told comes last.
    owed: BTreeMap<Told, Vec<Grant>>,
    /// What was told and had to be.
    kept: BTreeSet<Told>,
    /// What was missed and has been reported.
    missed: BTreeSet<Told>,
    /// Events that only a `setWatches` which is not answered yet can explain.
    early: Vec<(Duration, WatchEvent)>,
    /// The position of the newest event.
    newest: Zxid,
    /// The requests whose answers have arrived.
    answered_so_far: BTreeSet<usize>,
    /// All whom the link may be, at its beginning and at its end.
    identities: [Vec<Identity>; 2],
}

/// Checks the watches of all links.
pub fn check(wire: &Wire<'_>, replayed: &Replayed, findings: &mut Findings) {
    for (index, link) in wire.links.iter().enumerate() {
        let mut watched = Watched {
            replayed,
            link,
            findings,
            left: Vec::new(),
            owed: BTreeMap::new(),
            kept: BTreeSet::new(),
            missed: BTreeSet::new(),
            early: Vec::new(),
            newest: Zxid::ZERO,
            answered_so_far: BTreeSet::new(),
            identities: [link.identities(0), link.identities(link.asked.len())],
        };
        for frame in &link.frames {
            match frame {
                Frame::Event(at, event) => watched.told(*at, event),
                Frame::Answer(asked) => watched.answered(index, *asked),
            }
        }
        watched.end();
    }
}

impl Watched<'_, '_> {
    fn find(&mut self, invariant: &'static str, at: Duration, detail: impl FnOnce() -> String) {
        let (client, id) = (self.link.client, self.link.id.0);
        let detail = || format!("{client} on link {id}: {}", detail());
        self.findings
            .add(invariant, at, self.link.session(), detail);
    }

    fn told(&mut self, at: Duration, event: &WatchEvent) {
        let told = (event.zxid, event.path.clone(), event.kind);
        if event.zxid < self.newest && !self.missed.contains(&told) {
            let newest = self.newest;
            self.find("V4 event order", at, || {
                format!("{} came after one of {newest}", words(event))
            });
        }
        self.newest = self.newest.max(event.zxid);
        match self.take_owed(&told) {
            Some(Grant::Denied) => {
                self.find("T3 access", at, || {
                    format!("{} tells who may not read", words(event))
                });
                return;
            }
            Some(_) => {
                self.kept.insert(told);
                return;
            }
            None if self.missed.remove(&told) => return,
            None if self.kept.contains(&told) && !self.rearming(&told) => {
                self.find("V1 one-shot", at, || format!("{} came twice", words(event)));
                return;
            }
            None => {}
        }
        self.early.push((at, event.clone()));
        if !self.is_rearming() {
            self.unexplained();
        }
    }

    /// One telling of this that is owed; one that must come before one that may.
    fn take_owed(&mut self, told: &Told) -> Option<Grant> {
        let grants = self.owed.get_mut(told)?;
        let grant = grants.pop();
        if grants.is_empty() {
            self.owed.remove(told);
        }
        grant
    }

    /// Could a `setWatches` that is under way have told this?
    fn rearming(&self, told: &Told) -> bool {
        self.unanswered().any(|watches| {
            let mut all = watches
                .data
                .iter()
                .chain(&watches.exist)
                .chain(&watches.child);
            all.any(|path| *path == told.1)
        })
    }

    fn is_rearming(&self) -> bool {
        self.unanswered().next().is_some()
    }

    /// The `setWatches` whose answers have not arrived: those after the last frame's request.
    fn unanswered(&self) -> impl Iterator<Item = &althing_core::node::request::SetWatches> {
        let done = &self.answered_so_far;
        self.link
            .asked
            .iter()
            .enumerate()
            .filter_map(move |(index, asked)| match asked.request {
                Request::SetWatches(watches) if !done.contains(&index) => Some(watches),
                _ => None,
            })
    }

    /// Reports what no watch explains.
    fn unexplained(&mut self) {
        for (at, event) in std::mem::take(&mut self.early) {
            let near = self.owed.keys().find(|told| told.1 == event.path).cloned();
            self.find("V2 true event", at, || match near {
                Some((zxid, _, kind)) => {
                    format!(
                        "{} came, but that watch is owed {kind:?} of {zxid}",
                        words(&event)
                    )
                }
                None => format!("{} came, but no watch waits for it", words(&event)),
            });
        }
    }

    fn answered(&mut self, link: usize, index: usize) {
        let asked = &self.link.asked[index];
        let answer = asked.answer.expect("a frame that is an answer has one");
        self.answered_so_far.insert(index);
        if let Request::SetWatches(_) = asked.request {
            let rearmed = self.replayed.rearmed.get(&(link, index));
            self.rearm(index, &answer, rearmed.map_or(&[], |rearmed| &rearmed[..]));
        }
        self.overdue(&answer);
        if let Request::CheckWatches { path, kinds } | Request::RemoveWatches { path, kinds } =
            asked.request
            && !is_throttled(asked)
        {
            self.found(index, path, *kinds, &answer);
        }
        let left = match asked.request {
            Request::Read(Read::Exists {
                path,
                watching: Watching::Once,
            }) if matches!(answer.result, Ok(_) | Err(Code::NoNode)) => {
                Some((WatchKind::Data, path))
            }
            Request::Read(Read::GetData {
                path,
                watching: Watching::Once,
            }) if answer.result.is_ok() => Some((WatchKind::Data, path)),
            Request::Read(Read::GetChildren {
                path,
                watching: Watching::Once,
                ..
            }) if answer.result.is_ok() => Some((WatchKind::Child, path)),
            Request::AddWatch { path, mode } if answer.result.is_ok() => Some((mode.kind(), path)),
            _ => None,
        };
        if let Some(watch) = left {
            self.leave(index, watch, answer.zxid);
        }
    }

    /// A watch that request `index` left at `since` is told of changes after it.
    fn leave(&mut self, index: usize, watch: (WatchKind, &Path), since: Zxid) {
        let (kind, path) = watch;
        let mut known = self.left.iter();
        if known.any(|left| left.is_left_again(kind, path, index)) {
            return;
        }
        let left = Registered::new(self.replayed, self.link, index, watch, since);
        for (told, acls) in &left.changes {
            let mut grants: Vec<Grant> = acls.iter().map(|acl| self.grant(acl)).collect();
            grants.sort_unstable();
            // However many watches wait for a change, it is told once.
            let owed = self.owed.entry(told.clone()).or_default();
            if grants.len() > owed.len() {
                *owed = grants;
            }
        }
        self.left.push(left);
    }

    /// Holds an answer about watches against those that are there.
    fn found(&mut self, index: usize, path: &Path, kinds: Whichever, answer: &Answer<'_>) {
        let expected = match self
            .left
            .iter()
            .any(|left| left.is_found(path, kinds, index, answer.zxid))
        {
            true => Ok(Response::Empty),
            false => Err(Code::NoWatcher),
        };
        if *answer.result != expected {
            let request = self.link.asked[index].request;
            self.find("V6 watches kept", answer.at, || {
                let (zxid, result) = (answer.zxid, answer.result);
                format!("{request:?} at {zxid} must find {expected:?}, but it was {result:?}")
            });
        }
    }

    fn grant(&self, acl: &Acl) -> Grant {
        let may = |who: &Vec<Identity>| access::permits(acl, Perms::READ, who);
        match self.identities.each_ref().map(may) {
            [true, true] => Grant::Owed,
            [false, false] => Grant::Denied,
            _ => Grant::Open,
        }
    }

    /// Everything up to the position of an answer must have been told before it.
    fn overdue(&mut self, answer: &Answer<'_>) {
        while let Some(entry) = self.owed.first_entry() {
            if entry.key().0 > answer.zxid {
                break;
            }
            let (told, grants) = entry.remove_entry();
            if grants.contains(&Grant::Owed) {
                let zxid = answer.zxid;
                self.find("V3 no lost watch", answer.at, || {
                    let (of, path, kind) = &told;
                    format!("an answer shows {zxid}, but {kind:?} {path} of {of} was not told")
                });
                self.missed.insert(told);
            }
        }
    }

    /// Holds the events before the answer of a `setWatches` against what it had to tell.
    fn rearm(&mut self, index: usize, answer: &Answer<'_>, rearmed: &[Rearmed]) {
        let mut early = std::mem::take(&mut self.early);
        for one in rearmed {
            let (kind, path) = match one {
                Rearmed::Left(table, path) => {
                    let kind = match table {
                        Table::Data => WatchKind::Data,
                        Table::Child => WatchKind::Child,
                    };
                    self.leave(index, (kind, path), answer.zxid);
                    continue;
                }
                Rearmed::Stays(mode, path) => {
                    self.leave(index, (mode.kind(), path), answer.zxid);
                    continue;
                }
                Rearmed::Told(kind, path) => (*kind, path),
            };
            let is = |(_, event): &(Duration, WatchEvent)| {
                event.kind == kind && event.path == *path && event.zxid == answer.zxid
            };
            let told = (answer.zxid, path.clone(), kind);
            match early.iter().position(is) {
                Some(found) => {
                    early.remove(found);
                }
                // The same znode's data and children watches tell of its deletion once or twice.
                None if self.kept.contains(&told) => {}
                None => self.find("V5 re-arm", answer.at, || {
                    format!("setWatches at {} did not tell {kind:?} {path}", answer.zxid)
                }),
            }
            self.kept.insert(told);
        }
        for (at, event) in early {
            self.find("V5 re-arm", at, || {
                format!("{} came with setWatches, unasked", words(&event))
            });
        }
    }

    fn end(&mut self) {
        // A setWatches whose answer never arrived may have told anything.
        if !self.is_rearming() {
            self.unexplained();
        }
    }
}
