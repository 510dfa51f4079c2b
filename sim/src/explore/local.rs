//! What one server makes of one thing that happens to it: a function of the server alone.
//!
//! The same server in the same state hears the same message in very many states of the whole
//! ensemble, so what came of it is remembered ([`Lab`]).

use std::collections::VecDeque;
use std::sync::Arc;

use althing_core::ids::Zxid;
use althing_core::node::effect::{Effect, Outbox};
use althing_core::node::event::Event;
use althing_core::node::input::{Input, Timer};
use althing_core::quorum::message::Extent;
use althing_core::store::txn::Action as TxnAction;
use althing_core::time::{Instant, Now, WallTime};
use althing_core::tree::op::Op;

use crate::explore::bounds::{Rules, Saves};
use crate::explore::digest::{Digest, both};
use crate::explore::disk::{Asked, Mark, Piece, Snapshot, Stored};
use crate::explore::lab::Lab;
use crate::explore::ledger::Agreed;
use crate::explore::mark;
use crate::explore::played::{Outcome, Played, Wish};
use crate::explore::server::Server;
use crate::explore::telling;
use crate::explore::violation::Violation;
use crate::explore::wire::Packet;
use crate::world::caught;

/// Time stands still: any armed timer may fire at any moment, so no clock has to tell. Only to wait
/// moves a server's own clock.
const START: Instant = Instant(1_000_000_000_000);

/// A server that finds more than this to do about one thing never comes to rest. Everything that
/// configurations allow needs far fewer.
const STEPS_MAX: usize = 1000;

/// A piece of a snapshot shows the digest of the log that the snapshot stands for.
const PIECE_BYTES: u64 = 16;

/// One thing that happens to a server.
#[derive(Clone, Debug)]
pub enum Cue {
    /// A message arrives.
    Packet(Arc<Packet>),
    /// The oldest thing that the disk was asked for is done.
    Save,
    /// The disk is full.
    Refuse,
    /// A snapshot of its own is durable.
    Keep,
    /// A snapshot of its own cannot be made.
    Waste,
    /// A piece of its snapshot is read.
    Read,
    /// Its snapshot is gone.
    Miss,
    /// It crashes; so much of what the disk was asked for is done nevertheless.
    Crash(usize),
    /// It starts.
    Start,
    /// It loses its disk.
    LoseDisk,
    /// A second passes.
    Wait,
    /// A timer fires.
    Fire(Timer),
    /// Anything else.
    Input(Input),
}

impl Cue {
    fn digest(&self) -> u128 {
        let mut digest = Digest::new();
        match self {
            Cue::Packet(packet) => return packet.digest(),
            Cue::Save => digest.number(1),
            Cue::Refuse => digest.number(2),
            Cue::Keep => digest.number(3),
            Cue::Waste => digest.number(4),
            Cue::Read => digest.number(5),
            Cue::Miss => digest.number(6),
            Cue::Crash(kept) => digest.number(7).number(*kept as u64),
            Cue::Start => digest.number(8),
            Cue::LoseDisk => digest.number(9),
            Cue::Fire(timer) => digest.number(10).debug(timer),
            Cue::Wait => digest.number(12),
            Cue::Input(input) => digest.number(11).debug(input),
        };
        digest.finish()
    }
}

/// What the server makes of it. A panic of the node is a broken invariant.
pub fn play(
    server: &Arc<Server>,
    cue: &Cue,
    rules: &Rules,
    lab: &mut Lab,
) -> Result<Arc<Played>, Violation> {
    let key = both(server.fingerprint(), cue.digest());
    if let Some(known) = lab.recall(key) {
        return Ok(known);
    }
    let played = caught::catch(|| {
        let mut play = Play {
            server: Server::clone(server),
            rules,
            lab,
            inputs: VecDeque::new(),
            outcomes: Vec::new(),
            effects: 0,
        };
        play.take(cue)?;
        play.server.changed();
        Ok(Played {
            server: Arc::new(play.server),
            outcomes: play.outcomes,
            effects: play.effects,
        })
    });
    match played {
        Ok(Ok(played)) => Ok(lab.remember(key, played)),
        Ok(Err(violation)) => Err(violation),
        Err(text) => Err(Violation::new("A1 assertion", text)),
    }
}

struct Play<'a> {
    server: Server,
    rules: &'a Rules,
    lab: &'a mut Lab,
    inputs: VecDeque<Input>,
    outcomes: Vec<Outcome>,
    effects: usize,
}

impl Play<'_> {
    fn take(&mut self, cue: &Cue) -> Result<(), Violation> {
        let input = match cue {
            Cue::Packet(packet) => Input::Heard {
                from: packet.from,
                directory: packet.directory,
                message: packet.message.clone(),
            },
            Cue::Save => self.saved(),
            Cue::Refuse => return self.refuse(),
            Cue::Keep => self.keep(),
            Cue::Waste => {
                let making = self.server.making.take();
                let zxid = making.expect("a snapshot is being made").applied();
                Input::SnapshotRefused { zxid }
            }
            Cue::Read => self.read(),
            Cue::Miss => {
                let reading = self.server.reading.pop_front();
                let (to, zxid, _) = reading.expect("a snapshot is being read");
                Input::ChunkMissed { to, zxid }
            }
            Cue::Crash(kept) => {
                self.server.crash(*kept);
                return Ok(());
            }
            Cue::Start => {
                self.server.start(self.rules);
                Input::Drained
            }
            Cue::LoseDisk => {
                self.server.replace_disk();
                return Ok(());
            }
            Cue::Wait => {
                self.server.wait();
                Input::Drained
            }
            Cue::Fire(timer) => {
                self.step(Input::Timeout(*timer))?;
                // After its start a server first waits its time out. That alone is no state.
                if *timer != Timer::Election || self.effects > 0 {
                    return Ok(());
                }
                Input::Timeout(*timer)
            }
            Cue::Input(input) => input.clone(),
        };
        self.step(input)
    }

    fn refuse(&mut self) -> Result<(), Violation> {
        for asked in self.server.disk.refuse() {
            let input = match asked {
                Asked::Save { ticket, .. } => Input::Refused(ticket),
                Asked::Take(piece) => Input::ChunkRefused { zxid: piece.zxid },
            };
            self.step(input)?;
        }
        Ok(())
    }

    /// Steps the node: the input, what follows from it at once, and `Drained`.
    fn step(&mut self, input: Input) -> Result<(), Violation> {
        self.inputs.push_back(input);
        let mut out = Outbox::new();
        for _ in 0..STEPS_MAX {
            let next = self.inputs.pop_front();
            let is_drained = next.is_none();
            let now = Now {
                clock: START.after(self.server.waited()),
                wall: WallTime(0),
            };
            let input = next.unwrap_or(Input::Drained);
            self.server.node.step(now, input, &mut out);
            self.server.node.check();
            self.server.node.replica().check_log();
            self.effects += out.effects.len();
            for effect in out.effects.drain(..) {
                self.perform(effect)?;
            }
            if is_drained && self.rules.saves == Saves::AtOnce {
                self.finish_at_once();
            }
            if is_drained && self.inputs.is_empty() {
                return Ok(());
            }
        }
        let text = format!("server {} does not come to rest", self.server.id);
        Err(Violation::new("bounded work", text))
    }

    /// Everything that the node asked of its surroundings is done.
    fn finish_at_once(&mut self) {
        while !self.server.disk.asked().is_empty() {
            let input = self.saved();
            self.inputs.push_back(input);
        }
        if self.server.making.is_some() {
            let input = self.keep();
            self.inputs.push_back(input);
        }
        while !self.server.reading.is_empty() {
            let input = self.read();
            self.inputs.push_back(input);
        }
    }

    /// What the disk answers when the oldest thing that it was asked for is done.
    fn saved(&mut self) -> Input {
        let stored = self.server.disk.save(self.rules.honesty);
        let Piece {
            zxid,
            bytes,
            offset,
            extent,
        } = match stored.expect("the disk was asked for something") {
            Stored::Record(ticket) => return Input::Saved(ticket),
            Stored::Piece(piece) => piece,
        };
        let end = offset + bytes.len() as u64;
        let is_stored = self.server.disk.stored == Some((zxid, end));
        if extent == Extent::More {
            return match is_stored {
                true => Input::ChunkTaken { zxid, offset: end },
                false => Input::ChunkRefused { zxid },
            };
        }
        let chain = bytes.try_into().map(u128::from_le_bytes);
        let snapshot = chain.ok().and_then(|chain| self.lab.snapshot(chain));
        let is_whole = is_stored && end == u64::from(self.rules.pieces) * PIECE_BYTES;
        match snapshot.filter(|known| is_whole && known.mark.zxid == zxid) {
            Some(snapshot) => {
                let store = Box::new((*snapshot.store).clone());
                self.server.disk.install(snapshot);
                Input::Installed { store }
            }
            None => Input::ChunkRefused { zxid },
        }
    }

    fn keep(&mut self) -> Input {
        let store = self.server.making.take().expect("a snapshot is being made");
        let zxid = store.applied();
        let mark = self.server.disk.log.at(zxid);
        let mark = mark.expect("a server has saved what it has executed");
        self.server.disk.keep(Snapshot { store, mark });
        Input::SnapshotMade { zxid }
    }

    /// What the storage answers when a piece of a snapshot is read.
    fn read(&mut self) -> Input {
        let whole = u64::from(self.rules.pieces) * PIECE_BYTES;
        let reading = self.server.reading.pop_front();
        let (to, zxid, offset) = reading.expect("a snapshot is being read");
        let newest = self.server.disk.snapshot.clone();
        let newest = newest.filter(|snapshot| snapshot.mark.zxid == zxid && offset < whole);
        let Some(snapshot) = newest else {
            return Input::ChunkMissed { to, zxid };
        };
        let bytes = snapshot.mark.chain.to_le_bytes().to_vec();
        self.lab.publish(snapshot);
        let extent = match offset + PIECE_BYTES == whole {
            true => Extent::Last,
            false => Extent::More,
        };
        Input::ChunkRead {
            to,
            zxid,
            offset,
            bytes,
            extent,
        }
    }

    fn perform(&mut self, effect: Effect) -> Result<(), Violation> {
        let who = self.server.id;
        self.lab.notes.tell(|| telling::effect(who, &effect));
        match effect {
            Effect::Reply { connection, reply } => {
                self.outcomes.push(Outcome::Reply(connection, reply));
            }
            Effect::Close { connection } => {
                self.outcomes.push(Outcome::Close(connection));
                self.inputs.push_back(Input::Closed { connection });
            }
            Effect::Save { ticket, record } => {
                self.server.disk.ask_save(ticket, record);
            }
            Effect::MakeSnapshot { store } => self.server.making = Some(Arc::from(store)),
            Effect::Send { to, message } => {
                let is_there = to.0 >= 1 && to.0 <= self.rules.servers && to != who;
                assert!(is_there, "server {who} speaks to {to}");
                let directory = self.server.disk.directory;
                let packet = Packet::new(who, directory, to, message);
                self.outcomes.push(Outcome::Send(Arc::new(packet)));
            }
            Effect::ReadChunk { to, zxid, offset } => {
                self.server.reading.push_back((to, zxid, offset));
            }
            Effect::TakeChunk {
                zxid,
                offset,
                bytes,
                extent,
            } => {
                let piece = Piece {
                    zxid,
                    bytes,
                    offset,
                    extent,
                };
                self.server.disk.ask_take(piece);
            }
            Effect::Note(event) => {
                self.outcomes.push(Outcome::Mark(event.name()));
                self.note(&event)?;
            }
        }
        Ok(())
    }

    fn note(&mut self, event: &Event) -> Result<(), Violation> {
        let outcome = match *event {
            Event::Elected { epoch, leader } => Outcome::Elected(epoch, leader),
            Event::Executed { zxid, digest } => {
                let agreed = Agreed {
                    mark: self.durable(zxid)?,
                    tree: digest,
                    known_in: self.server.node.status().epoch,
                };
                Outcome::Executed(agreed, self.wish(zxid))
            }
            Event::Installed { zxid, digest } => Outcome::Installed(self.durable(zxid)?, digest),
            _ => return Ok(()),
        };
        self.outcomes.push(outcome);
        Ok(())
    }

    /// Whatever is executed is saved.
    fn durable(&self, zxid: Zxid) -> Result<Mark, Violation> {
        self.server.disk.log.at(zxid).ok_or_else(|| {
            let who = self.server.id;
            let text = format!("{who} executed {zxid}, which its disk does not have");
            Violation::new("I3 durability", text)
        })
    }

    fn wish(&self, zxid: Zxid) -> Wish {
        let entry = self.server.disk.log.entry(zxid);
        match entry.map(|entry| &entry.txn.action) {
            Some(TxnAction::Write(Op::SetData { .. })) => Wish::Change,
            Some(TxnAction::Write(Op::Create(create))) => {
                let mark = create.data.as_deref().and_then(mark::Mark::read);
                mark.map_or(Wish::Other, Wish::Marked)
            }
            _ => Wish::Other,
        }
    }
}
