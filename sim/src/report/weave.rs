//! Finds what goes back to what in a run: messages, saves, frames of clients, the inputs of a
//! server's turn and what it did in it, and entries of the log by their positions.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::ops::Bound;

use althing_core::ids::{ConnectionId, ServerId, Xid, Zxid};
use althing_core::node::event::Event;
use althing_core::node::input::Timer;
use althing_core::node::request::ConnectRequest;
use althing_core::quorum::message::Message;

use crate::backstage::{Deed, Link, MessageId};
use crate::history::{LinkId, Received, Sent, Violation, What};
use crate::report::causes::Graph;
use crate::report::scene::{Point, Scene, Source, positions};

/// Inputs of one turn that what is said at its end goes back to: the newest.
const TURN_INPUTS_MAX: usize = 32;
/// Entries of one message, or of one save, that are followed.
const ENTRIES_MAX: usize = 8;

/// Points at which a violation is seen, beside the entries that it names.
const WITNESSES_MAX: usize = 16;

/// What an input of a server's turn can lead to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Input {
    /// Requests: a client's frame, or what another server forwards.
    Request,
    /// A timer, a link: something is to be said.
    Nudge,
    /// A message of another kind, a save.
    News,
}

/// What one life of a server knows.
#[derive(Default)]
struct Life {
    /// Its last point: what comes next comes after it.
    last: Option<usize>,
    /// What happened to it in this turn.
    turn: VecDeque<(usize, Input)>,
    /// What is being stepped.
    step: Option<usize>,
    /// Everything that waited is stepped; what is said now goes back to all of it.
    draining: bool,
    /// Where it last became what it is.
    role: Option<usize>,
    /// Where it last had to do with a position.
    entries: BTreeMap<Zxid, usize>,
    /// The last ballot that was asked for.
    voting: Option<usize>,
    durable: Zxid,
}

/// One connection as its client knows it.
struct Line {
    server: ServerId,
    address: IpAddr,
    connect: Option<(ConnectRequest, usize)>,
    requests: VecDeque<(Xid, usize)>,
    welcomed: Option<usize>,
    /// Its name at the server.
    taken: Option<ConnectionId>,
}

/// Follows a run.
#[derive(Default)]
struct Weaver {
    graph: Graph,
    lives: BTreeMap<ServerId, Life>,
    clients: BTreeMap<usize, usize>,
    lines: BTreeMap<LinkId, Line>,
    /// What each connection of a server is for its client.
    taken: BTreeMap<(ServerId, ConnectionId), LinkId>,
    answers: BTreeMap<(ServerId, ConnectionId), VecDeque<usize>>,
    /// Where each message was said, and does it carry requests?
    said: BTreeMap<MessageId, (usize, Input)>,
    /// What a server left on its disk, and how its last life ended.
    disks: BTreeMap<ServerId, Vec<usize>>,
    ends: BTreeMap<ServerId, usize>,
    /// The faults in force.
    faults: BTreeMap<usize, usize>,
    last_fault: Option<usize>,
}

/// The graph of a run: one node for each of the scene's points.
pub fn weave(scene: &Scene<'_>) -> Graph {
    let mut weaver = Weaver::default();
    for (index, point) in scene.points.iter().enumerate() {
        weaver.add(scene, index, point);
    }
    weaver.graph
}

impl Weaver {
    fn add(&mut self, scene: &Scene<'_>, index: usize, point: &Point<'_>) {
        match point.source {
            Source::Deed(deed) => self.add_deed(index, deed),
            Source::Moment(what) => self.add_moment(index, point, what),
            Source::Violation(violation) => {
                self.graph.add(None);
                for cause in self.witnesses(scene, index, violation) {
                    self.graph.because(index, cause);
                }
            }
        }
    }

    fn add_deed(&mut self, index: usize, deed: &Deed) {
        match deed {
            Deed::Heard { server, id, .. } => {
                let said = self.said.get(id).copied();
                let kind = said.map_or(Input::News, |(_, kind)| kind);
                self.input(*server, index, kind);
                self.because(index, said.map(|(said, _)| said));
            }
            Deed::Linked { server, link, .. } => {
                self.input(*server, index, Input::Nudge);
                if *link == Link::Gone {
                    self.because_of_faults(index);
                }
            }
            Deed::Rang { server, timer } => {
                self.input(*server, index, Input::Nudge);
                if matches!(
                    timer,
                    Timer::Election | Timer::Quorum | Timer::Isolation | Timer::ReadOnly
                ) {
                    self.because_of_faults(index);
                }
            }
            Deed::Opened {
                server,
                connection,
                address,
                request,
            } => {
                self.input(*server, index, Input::Request);
                self.opened(index, (*server, *connection), *address, request);
            }
            Deed::Asked {
                server,
                connection,
                xid,
            } => {
                self.input(*server, index, Input::Request);
                self.asked(index, (*server, *connection), *xid);
            }
            Deed::Answered {
                server,
                connection,
                zxid,
                ..
            } => {
                self.effect(*server, index);
                let answers = self.answers.entry((*server, *connection)).or_default();
                answers.push_back(index);
                let executed = zxid.and_then(|zxid| self.entry(*server, zxid));
                self.because(index, executed);
            }
            Deed::Said {
                server,
                id,
                message,
                ..
            } => self.says(index, *server, *id, message),
            Deed::Voting { server, .. } => {
                self.effect(*server, index);
                self.life(*server).voting = Some(index);
            }
            Deed::Drained { server } => {
                let life = self.life(*server);
                life.draining = true;
                self.graph.add(None);
            }
            Deed::Strayed { .. } => {
                self.graph.add(None);
            }
        }
    }

    /// A server takes a request: what was sent before it on this connection has been taken, too.
    fn asked(&mut self, index: usize, place: (ServerId, ConnectionId), xid: Xid) {
        let link = self.taken.get(&place);
        let line = link.and_then(|link| self.lines.get_mut(link));
        let asked = line.and_then(|line| {
            let place = line.requests.iter().position(|(asked, _)| *asked == xid)?;
            line.requests.drain(..=place).next_back()
        });
        self.because(index, asked.map(|(_, sent)| sent));
    }

    fn says(&mut self, index: usize, server: ServerId, id: MessageId, message: &Message) {
        let before = self.life(server).last.replace(index);
        self.graph.add(before);
        let kind = match message {
            Message::Forward { .. } | Message::BarrierAsked { .. } => Input::Request,
            _ => Input::News,
        };
        self.said.insert(id, (index, kind));
        let named: Vec<Zxid> = match message {
            Message::Append {
                entries, committed, ..
            } => {
                let newest = entries.iter().rev().take(ENTRIES_MAX);
                let mut named: Vec<Zxid> = newest.map(|entry| entry.zxid).collect();
                named.push(*committed);
                named
            }
            Message::Beat { committed, .. } => vec![*committed],
            Message::Appended { durable, .. } => vec![*durable],
            _ => Vec::new(),
        };
        for zxid in named {
            let entry = self.entry(server, zxid);
            self.because(index, entry);
        }
        if !self.graph.is_explained(index) {
            self.because_of_turn(server, index, kind);
        }
        if let Message::VoteAsked { .. } | Message::Append { .. } | Message::Beat { .. } = message {
            let role = self.life(server).role;
            self.because(index, role);
        }
        if let Message::Voted { .. } = message {
            let voting = self.life(server).voting;
            self.because(index, voting);
        }
    }

    fn add_moment(&mut self, index: usize, point: &Point<'_>, what: &What) {
        match what {
            What::Said { server, event } => self.event(index, *server, event),
            What::Saving { server, zxid, .. } => {
                self.effect(*server, index);
                self.life(*server).entries.insert(*zxid, index);

                self.disks.entry(*server).or_default().push(index);
            }
            What::Cut { server, after } => {
                self.effect(*server, index);
                let life = self.life(*server);
                let gone = life.entries.split_off(after).into_iter();
                let gone: Vec<(Zxid, usize)> = gone.filter(|(zxid, _)| zxid > after).collect();
                for (_, entry) in gone.into_iter().take(ENTRIES_MAX) {
                    self.graph.because(index, entry);
                }
            }
            What::Durable { server, zxid } => self.durable(index, *server, *zxid),
            What::Voted { server, .. } => {
                self.input(*server, index, Input::News);
                let voting = self.life(*server).voting.replace(index);
                self.because(index, voting);
                self.disks.entry(*server).or_default().push(index);
            }
            What::Refused { server, zxid } => {
                self.input(*server, index, Input::News);
                let entry = self.entry(*server, *zxid);
                self.because(index, entry);
                self.because_of_faults(index);
            }
            What::Started { .. }
            | What::Recovered { .. }
            | What::Killed { .. }
            | What::Stopped { .. }
            | What::DiskLost { .. } => self.life_and_death(index, what),
            What::Struck { index: fault, .. } => {
                self.graph.add(None);
                self.faults.insert(*fault, index);
                self.last_fault = Some(index);
            }
            What::Healed { index: fault, .. } => {
                self.graph.add(None);
                let struck = self.faults.remove(fault);
                self.because(index, struck);
                self.last_fault = Some(index);
            }
            What::SetBack { server, at, .. } => {
                self.input(*server, index, Input::News);
                let entry = self.entry(*server, *at);
                self.because(index, entry);
            }
            What::SecondAct => {
                self.graph.add(None);
            }
            What::Asked { .. } => unreachable!("the scene leaves it out"),
            _ => self.client_moment(index, point, what),
        }
    }

    /// Of what was asked for since the last time, all is durable.
    fn durable(&mut self, index: usize, server: ServerId, zxid: Zxid) {
        self.input(server, index, Input::News);
        let life = self.life(server);
        // After a cut it begins anew.
        let from = life.durable.min(Zxid(zxid.0.saturating_sub(1)));
        life.durable = zxid;
        let news = (Bound::Excluded(from), Bound::Included(zxid));
        let saves: Vec<usize> = (life.entries.range(news).rev())
            .map(|(_, save)| *save)
            .take(ENTRIES_MAX)
            .collect();
        for (place, save) in saves.into_iter().enumerate() {
            self.graph.because(index, save);
            if place == 0 {
                self.life(server).entries.insert(zxid, index);
            }
        }
        self.disks.entry(server).or_default().push(index);
    }

    fn event(&mut self, index: usize, server: ServerId, event: &Event) {
        self.effect(server, index);
        match event {
            Event::Executed { zxid, .. } => {
                let entry = self.life(server).entries.insert(*zxid, index);
                self.because(index, entry);
            }
            Event::Campaigned { .. }
            | Event::Canvassed { .. }
            | Event::Elected { .. }
            | Event::Followed { .. }
            | Event::Deposed { .. } => {
                self.life(server).role = Some(index);
            }
            _ => {}
        }
    }

    fn life_and_death(&mut self, index: usize, what: &What) {
        match what {
            What::Started { server, .. } => {
                self.graph.add(None);
                let end = self.ends.get(server).copied();
                self.because(index, end);
                let life = Life {
                    last: Some(index),
                    ..Life::default()
                };
                self.lives.insert(*server, life);
            }
            What::Recovered { server, .. } => {
                self.input(*server, index, Input::News);
                // What it finds, its last life has left.
                let disk = self.disks.remove(server).unwrap_or_default();
                for left in disk.into_iter().rev().take(ENTRIES_MAX) {
                    self.graph.because(index, left);
                }
            }
            What::DiskLost { server } => {
                self.graph.add(None);
                self.disks.insert(*server, vec![index]);
                self.because(index, self.last_fault);
            }
            What::Killed { server } => {
                self.graph.add(None);
                self.ends.insert(*server, index);
            }
            What::Stopped { server, .. } => {
                self.input(*server, index, Input::News);
                self.ends.insert(*server, index);
            }
            _ => unreachable!("nothing else is about life and death"),
        }
    }

    fn client_moment(&mut self, index: usize, point: &Point<'_>, what: &What) {
        let lane = point.lane.expect("clients have lanes");
        let before = self.clients.insert(lane, index);
        self.graph.add(before);
        match what {
            What::LinkOpened {
                link,
                server,
                address,
                ..
            } => {
                let line = Line {
                    server: *server,
                    address: *address,
                    connect: None,
                    requests: VecDeque::new(),
                    welcomed: None,
                    taken: None,
                };
                self.lines.insert(*link, line);
            }
            What::Sent { link, frame, .. } => {
                let Some(line) = self.lines.get_mut(link) else {
                    return;
                };
                match frame {
                    Sent::Connect(request) => line.connect = Some((request.clone(), index)),
                    Sent::Request { xid, .. } => {
                        line.requests.push_back((*xid, index));
                        let welcomed = line.welcomed;
                        self.because(index, welcomed);
                    }
                }
            }
            What::Received { link, frame, .. } => {
                let Some(line) = self.lines.get_mut(link) else {
                    return;
                };
                if let Received::Connected(_) = frame {
                    line.welcomed = Some(index);
                }
                let place = line.taken.map(|taken| (line.server, taken));
                let answers = place.and_then(|place| self.answers.get_mut(&place));
                let answer = answers.and_then(VecDeque::pop_front);
                self.because(index, answer);
            }
            // What a player says and does comes of what it heard last.
            _ => self.because(index, before),
        }
    }

    /// The oldest connection that this may be, which its server has not taken yet.
    fn opened(
        &mut self,
        index: usize,
        place: (ServerId, ConnectionId),
        address: IpAddr,
        request: &ConnectRequest,
    ) {
        let found = self.lines.iter_mut().find(|(_, line)| {
            let asks = line.connect.as_ref().map(|(connect, _)| connect);
            let open = line.taken.is_none() && asks == Some(request);
            open && line.server == place.0 && line.address == address
        });
        if let Some((link, line)) = found {
            line.taken = Some(place.1);
            self.taken.insert(place, *link);
            let sent = line.connect.as_ref().map(|(_, sent)| *sent);
            self.because(index, sent);
        }
    }

    /// What shows that the rule was broken: what happened when it was seen, and what the entries
    /// that are named became.
    fn witnesses(&self, scene: &Scene<'_>, index: usize, violation: &Violation) -> Vec<usize> {
        let earlier = |point: &Point<'_>| match point.source {
            Source::Violation(_) | Source::Deed(Deed::Drained { .. } | Deed::Strayed { .. }) => {
                false
            }
            _ => point.at <= violation.at,
        };
        let before = || {
            (0..index)
                .rev()
                .filter(|place| earlier(&scene.points[*place]))
        };
        let named = scene.named(&violation.detail);
        let at_once = before().take_while(|place| scene.points[*place].at == violation.at);
        let mut witnesses: Vec<usize> = at_once.take(TURN_INPUTS_MAX).collect();
        let concerned = |place: &usize| {
            let lane = scene.points[*place].lane;
            lane.is_some_and(|lane| named.contains(&lane))
        };
        match witnesses.iter().any(concerned) {
            true => witnesses.retain(concerned),
            // What did not come about is shown by what those who miss it did last.
            false => {
                witnesses.truncate(ENTRIES_MAX);
                witnesses.extend(named.iter().filter_map(|lane| {
                    before().find(|place| scene.points[*place].lane == Some(*lane))
                }));
            }
        }
        witnesses.truncate(WITNESSES_MAX);
        for zxid in positions(&violation.detail) {
            let known = self.lives.values();
            witnesses.extend(known.filter_map(|life| life.entries.get(&zxid)));
        }
        if witnesses.is_empty() {
            witnesses.extend(before().next());
        }
        witnesses
    }

    fn life(&mut self, server: ServerId) -> &mut Life {
        self.lives.entry(server).or_default()
    }

    fn entry(&self, server: ServerId, zxid: Zxid) -> Option<usize> {
        self.lives.get(&server)?.entries.get(&zxid).copied()
    }

    /// Something happened to a server.
    fn input(&mut self, server: ServerId, index: usize, kind: Input) {
        let life = self.lives.entry(server).or_default();
        self.graph.add(life.last.replace(index));
        if std::mem::take(&mut life.draining) {
            life.turn.clear();
        }
        if life.turn.len() == TURN_INPUTS_MAX {
            life.turn.pop_front();
        }
        life.turn.push_back((index, kind));
        life.step = Some(index);
    }

    /// A server did something.
    fn effect(&mut self, server: ServerId, index: usize) {
        let before = self.life(server).last.replace(index);
        self.graph.add(before);
        self.because_of_turn(server, index, Input::Request);
    }

    /// What is done at once goes back to the input that is stepped; what is done at the end of a
    /// turn, to those of its inputs that lead to it: requests to requests, and anything else to
    /// what is no request.
    fn because_of_turn(&mut self, server: ServerId, index: usize, kind: Input) {
        let life = self.life(server);
        let turn: Vec<(usize, Input)> = match (life.draining, life.step) {
            (true, _) => life.turn.iter().copied().collect(),
            (false, step) => step.map(|step| (step, kind)).into_iter().collect(),
        };
        let leads = |input: Input| match kind {
            Input::Request => input == Input::Request,
            _ => input != Input::Request,
        };
        let fits: Vec<usize> = (turn.iter())
            .filter(|(_, input)| leads(*input))
            .map(|(cause, _)| *cause)
            .collect();
        match fits.is_empty() {
            true => {
                for (cause, _) in turn {
                    self.graph.because(index, cause);
                }
            }
            false => {
                for cause in fits {
                    self.graph.because(index, cause);
                }
            }
        }
    }

    fn because(&mut self, effect: usize, cause: Option<usize>) {
        if let Some(cause) = cause {
            self.graph.because(effect, cause);
        }
    }

    fn because_of_faults(&mut self, effect: usize) {
        for cause in self.faults.values().copied().collect::<Vec<_>>() {
            self.graph.because(effect, cause);
        }
    }
}
