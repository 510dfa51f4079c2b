//! A run as a drawing needs it: who was there, and everything that happened in one order, of the
//! history, of what went on behind it, and of what was found to be wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use althing_core::ids::{ServerId, Zxid};
use althing_core::node::event::Event;
use althing_core::quorum::message::Message;

use crate::backstage::{Astray, Backstage, Behind, Deed, MessageId};
use crate::history::{History, Moment, Sent, Violation, What};
use crate::plan::Plan;
use crate::report::words;
use crate::telling::{Weight, clipped, told};

/// Characters of a moment's words: data can have a megabyte.
const WORDS_CHARS_MAX: usize = 400;

/// What a lane shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LaneKind {
    /// A server's process.
    Server,
    /// A server's disk.
    Disk,
    /// A client's process.
    Client,
}

/// One of those to whom things happen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lane {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: LaneKind,
}

/// Where a point comes from.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Source<'a> {
    /// The history.
    Moment(&'a What),
    /// Behind it.
    Deed(&'a Deed),
    /// What was found to be wrong.
    Violation(&'a Violation),
}

/// One thing that happened, or was found.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Point<'a> {
    /// When, in true time.
    pub at: Duration,
    /// To whom; nobody for faults.
    pub lane: Option<usize>,
    /// What.
    pub source: Source<'a>,
}

/// One message between servers.
#[derive(Clone, PartialEq, Debug)]
pub struct Letter {
    /// What.
    pub message: Arc<Message>,
    /// From whom.
    pub from: ServerId,
    /// To whom.
    pub to: ServerId,
    /// The point at which it was said.
    pub said: usize,
    /// The points at which it was heard, if it was.
    pub heard: Vec<usize>,
    /// What became of it, if it did not simply come.
    pub fate: Option<Astray>,
}

/// A whole run.
pub struct Scene<'a> {
    /// Servers and their disks, then clients by their names.
    pub lanes: Vec<Lane>,
    /// In the order in which they happened.
    pub points: Vec<Point<'a>>,
    /// The messages between servers.
    pub letters: BTreeMap<MessageId, Letter>,
    /// When the run ended.
    pub ended: Duration,
    servers: usize,
}

impl<'a> Scene<'a> {
    /// The run of `plan` that left all this behind.
    pub fn new(
        plan: &Plan,
        history: &'a History,
        backstage: &'a Backstage,
        violations: &'a [Violation],
    ) -> Scene<'a> {
        let mut scene = Scene {
            lanes: Vec::new(),
            points: Vec::new(),
            letters: BTreeMap::new(),
            ended: Duration::ZERO,
            servers: usize::from(plan.servers),
        };
        for server in 1..=plan.servers {
            for (name, kind) in [
                (format!("server-{server}"), LaneKind::Server),
                (format!("disk-{server}"), LaneKind::Disk),
            ] {
                scene.lanes.push(Lane { name, kind });
            }
        }
        scene.add_clients(history);
        let mut pending: Vec<&Violation> = violations.iter().collect();
        pending.sort_by_key(|violation| std::cmp::Reverse(violation.at));
        let mut deeds = backstage.deeds.iter().peekable();
        for (index, moment) in history.moments.iter().enumerate() {
            while let Some(behind) = deeds.next_if(|behind| behind.after <= index) {
                scene.add_violations(&mut pending, behind.at);
                scene.add_deed(behind);
            }
            scene.add_violations(&mut pending, moment.at);
            scene.add_moment(moment);
        }
        deeds.for_each(|behind| scene.add_deed(behind));
        pending
            .into_iter()
            .rev()
            .for_each(|violation| scene.add_violation(violation));
        scene
    }

    /// The lane of a server.
    pub fn server(&self, server: ServerId) -> usize {
        2 * (usize::from(server.0) - 1)
    }

    /// The lane of a server's disk.
    pub fn disk(&self, server: ServerId) -> usize {
        self.server(server) + 1
    }

    /// How many servers there are.
    pub fn servers(&self) -> usize {
        self.servers
    }

    /// The lane with this name.
    pub fn lane(&self, name: &str) -> Option<usize> {
        self.lanes.iter().position(|lane| lane.name == name)
    }

    /// The lanes that a fault's or violation's words name.
    pub fn named(&self, words: &str) -> Vec<usize> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        let mut lanes: Vec<usize> = words
            .split(|c| !is_part(c))
            .filter_map(|word| self.lane(word.trim_matches('.')))
            .collect();
        lanes.sort_unstable();
        lanes.dedup();
        lanes
    }

    /// A point in words, and how much it stands out.
    pub fn words(&self, index: usize) -> (Weight, String) {
        let (weight, words) = match self.points[index].source {
            Source::Moment(what) => {
                let (_, weight, words) = told(what);
                (weight, words)
            }
            Source::Deed(deed) => self.deed_words(deed),
            Source::Violation(violation) => {
                let (invariant, detail) = (violation.invariant, &violation.detail);
                return (Weight::Failure, format!("{invariant}: {detail}"));
            }
        };
        (weight, clipped(&words, WORDS_CHARS_MAX).into_owned())
    }

    fn deed_words(&self, deed: &Deed) -> (Weight, String) {
        let words = match deed {
            Deed::Said { to, message, .. } => {
                format!("-> server-{to}: {}", words::message(message))
            }
            Deed::Heard { from, id, .. } => {
                let message = self.letters.get(id).map(|letter| &*letter.message);
                let words = message.map_or_else(String::new, words::message);
                format!("<- server-{from}: {words}")
            }
            other => words::deed(other),
        };
        let weight = match deed {
            Deed::Linked { .. } => Weight::Mark,
            _ => Weight::Plain,
        };
        (weight, words)
    }

    fn add(&mut self, at: Duration, lane: Option<usize>, source: Source<'a>) -> usize {
        self.ended = self.ended.max(at);
        self.points.push(Point { at, lane, source });
        self.points.len() - 1
    }

    fn add_deed(&mut self, behind: &'a Behind) {
        let server = match &behind.deed {
            Deed::Strayed { id, fate } => {
                if let Some(letter) = self.letters.get_mut(id) {
                    letter.fate = Some(*fate);
                }
                return;
            }
            Deed::Said { server, .. }
            | Deed::Heard { server, .. }
            | Deed::Linked { server, .. }
            | Deed::Rang { server, .. }
            | Deed::Voting { server, .. }
            | Deed::Opened { server, .. }
            | Deed::Asked { server, .. }
            | Deed::Answered { server, .. }
            | Deed::Drained { server } => *server,
        };
        let lane = match &behind.deed {
            Deed::Voting { .. } => self.disk(server),
            _ => self.server(server),
        };
        let point = self.add(behind.at, Some(lane), Source::Deed(&behind.deed));
        match &behind.deed {
            Deed::Said {
                to, id, message, ..
            } => {
                let letter = Letter {
                    message: Arc::clone(message),
                    from: server,
                    to: *to,
                    said: point,
                    heard: Vec::new(),
                    fate: None,
                };
                self.letters.insert(*id, letter);
            }
            Deed::Heard { id, .. } => {
                if let Some(letter) = self.letters.get_mut(id) {
                    letter.heard.push(point);
                }
            }
            _ => {}
        }
    }

    /// Adds the violations that were seen before this time.
    fn add_violations(&mut self, pending: &mut Vec<&'a Violation>, before: Duration) {
        while let Some(violation) = pending.pop_if(|violation| violation.at < before) {
            self.add_violation(violation);
        }
    }

    /// It is drawn where it was seen: at the last of those to whom something happened then, of
    /// those that it names if it names any.
    fn add_violation(&mut self, violation: &'a Violation) {
        let named = self.named(&violation.detail);
        let seen = self.points.iter().rev();
        let seen = seen.take_while(|point| point.at == violation.at);
        let lanes: Vec<usize> = seen.filter_map(|point| point.lane).collect();
        let of_named = lanes.iter().find(|lane| named.contains(lane));
        let lane = of_named.or(named.first()).or(lanes.first()).copied();
        self.add(violation.at, lane, Source::Violation(violation));
    }

    fn add_moment(&mut self, moment: &'a Moment) {
        let lane = match &moment.what {
            // What is behind it tells more.
            What::Asked { .. } => return,
            What::Started { server, .. }
            | What::Recovered { server, .. }
            | What::Stopped { server, .. }
            | What::Killed { server }
            | What::SetBack { server, .. }
            | What::Said { server, .. } => Some(self.server(*server)),
            What::Saving { server, .. }
            | What::DiskLost { server }
            | What::Cut { server, .. }
            | What::Refused { server, .. }
            | What::Durable { server, .. }
            | What::Voted { server, .. } => Some(self.disk(*server)),
            other => client(other).and_then(|name| self.lane(name)),
        };
        self.add(moment.at, lane, Source::Moment(&moment.what));
    }

    fn add_clients(&mut self, history: &History) {
        let clients = history
            .moments
            .iter()
            .filter_map(|moment| client(&moment.what));
        let names: BTreeSet<&str> = clients.collect();
        let mut names: Vec<&str> = names.into_iter().collect();
        // So that client-10 follows client-9.
        names.sort_by_key(|name| (name.len(), *name));
        for name in names {
            if self.lane(name).is_none() {
                self.lanes.push(Lane {
                    name: name.to_owned(),
                    kind: LaneKind::Client,
                });
            }
        }
    }
}

/// The player who did this, if one did.
fn client(what: &What) -> Option<&str> {
    match what {
        What::Sent { client, .. }
        | What::Received { client, .. }
        | What::LinkOpened { client, .. }
        | What::LinkEnded { client, .. }
        | What::Mark { client, .. }
        | What::Held { client, .. }
        | What::Guarded { client, .. } => Some(client),
        _ => None,
    }
}

/// How much a reader loses if a point is left out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Worth {
    /// It only repeats that all is well.
    Routine,
    /// It follows from others.
    Detail,
    /// It is what the run consists of.
    Step,
    /// It is what the run is about.
    Story,
}

/// How much this point is worth.
pub fn worth(point: &Point<'_>) -> Worth {
    match point.source {
        Source::Violation(_) => Worth::Story,
        Source::Deed(deed) => match deed {
            Deed::Said { message, .. } => worth_of_message(message),
            Deed::Linked { .. } | Deed::Voting { .. } => Worth::Story,
            Deed::Rang { timer, .. } => match timer {
                althing_core::node::input::Timer::Election
                | althing_core::node::input::Timer::Isolation
                | althing_core::node::input::Timer::ReadOnly
                | althing_core::node::input::Timer::Expiry(_) => Worth::Story,
                _ => Worth::Routine,
            },
            Deed::Opened { .. } => Worth::Step,
            Deed::Heard { .. } | Deed::Strayed { .. } | Deed::Drained { .. } => Worth::Routine,
            Deed::Asked { xid, .. } if xid.0 > 0 => Worth::Detail,
            Deed::Answered { zxid: Some(_), .. } => Worth::Detail,
            Deed::Asked { .. } | Deed::Answered { .. } => Worth::Routine,
        },
        Source::Moment(what) => match what {
            What::Sent {
                frame: Sent::Request { xid, .. },
                ..
            } if xid.0 <= 0 => Worth::Routine,
            What::Said { event, .. } => match event {
                Event::Touched { .. } => Worth::Routine,
                Event::Executed { .. } | Event::WatchLeft { .. } | Event::WatchFired { .. } => {
                    Worth::Detail
                }
                _ => Worth::Story,
            },
            What::Sent { .. } | What::Saving { .. } => Worth::Step,
            What::Received { .. } => match told(what).1 {
                Weight::Noise => Worth::Routine,
                _ => Worth::Step,
            },
            What::Durable { .. } | What::Guarded { .. } => Worth::Detail,
            _ => Worth::Story,
        },
    }
}

/// How much a message is worth.
fn worth_of_message(message: &Message) -> Worth {
    match message {
        Message::Append { entries, .. } if entries.is_empty() => Worth::Routine,
        Message::Append { .. } | Message::Forward { .. } => Worth::Step,
        Message::Appended { .. } | Message::Chunk { .. } | Message::ChunkTaken { .. } => {
            Worth::Detail
        }
        Message::Beat { .. }
        | Message::Beaten { .. }
        | Message::BarrierAsked { .. }
        | Message::BarrierSet { .. } => Worth::Routine,
        Message::Greeting { .. }
        | Message::VoteAsked { .. }
        | Message::Voted { .. }
        | Message::Mismatched { .. }
        | Message::Succeed { .. } => Worth::Story,
    }
}

/// The positions that some words name, such as `2.17`.
pub fn positions(words: &str) -> Vec<Zxid> {
    let is_part = |c: char| c.is_ascii_digit() || c == '.';
    let found = words.split(|c: char| !is_part(c) && !c.is_ascii_alphanumeric());
    let parsed = found.filter_map(|word| {
        let (epoch, counter) = word.trim_matches('.').split_once('.')?;
        let epoch = althing_core::ids::Epoch(epoch.parse().ok()?);
        (epoch <= althing_core::ids::Epoch::MAX).then_some(())?;
        Some(Zxid::new(epoch, counter.parse().ok()?))
    });
    parsed.collect()
}
