//! What can happen next, one thing at a time.

use althing_core::ids::ServerId;
use althing_core::node::input::Timer;

use crate::explore::bounds::Kind;
use crate::explore::client::Want;

/// One thing that happens in an explored world. Messages and clients are named by their places.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// A message arrives.
    Deliver(usize),
    /// A message is lost.
    Drop(usize),
    /// A message arrives, and a copy of it is still in flight.
    Double(usize),
    /// The oldest thing that a disk was asked for becomes durable.
    Save(ServerId),
    /// A disk is full: everything that it was asked for is refused.
    Refuse(ServerId),
    /// A snapshot of a server's own state becomes durable.
    Keep(ServerId),
    /// A server cannot make the snapshot that it wants.
    Waste(ServerId),
    /// A piece of a snapshot is read for another server.
    Read(ServerId),
    /// The snapshot that was to be read is gone.
    Miss(ServerId),
    /// A server crashes; of what its disk was asked for so much reaches it nevertheless.
    Crash(ServerId, usize),
    /// A server starts.
    Start(ServerId),
    /// A crash and a start.
    Restart(ServerId, usize),
    /// A server crashes, its disk is replaced by a blank one, and it starts.
    Replace(ServerId),
    /// A second passes at a server.
    Wait(ServerId),
    /// A timer fires.
    Fire(ServerId, Timer),
    /// Gossip tells a server that another one does not answer.
    Suspect(ServerId, ServerId),
    /// A server's link to another one breaks and comes up again.
    Flap(ServerId, ServerId),
    /// A client connects to a server.
    Open(ServerId),
    /// A client connects to a server with the session that it had.
    Move(usize, ServerId),
    /// A client asks for something.
    Ask(usize, Want),
    /// A client's connection breaks.
    Leave(usize),
    /// An operator wishes for other members; the how manieth wish of the rules.
    Reconfigure(ServerId, usize),
    /// A server is told to stop.
    Stop(ServerId),
    /// Two servers are cut from each other; what is in flight between them is lost.
    Cut(ServerId, ServerId),
    /// Two servers are joined again.
    Join(ServerId, ServerId),
}

impl Action {
    /// As what it counts; `None` if it may happen as often as it can.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Action::Drop(_) => Some(Kind::Drop),
            Action::Double(_) => Some(Kind::Double),
            Action::Refuse(_) | Action::Waste(_) => Some(Kind::Refusal),
            Action::Miss(_) => Some(Kind::Miss),
            Action::Wait(_) => Some(Kind::Wait),
            Action::Restart(..) | Action::Crash(..) => Some(Kind::Restart),
            Action::Replace(_) => Some(Kind::Replace),
            Action::Fire(_, timer) => Some(Kind::of_timer(*timer)),
            Action::Suspect(..) => Some(Kind::Suspicion),
            Action::Flap(..) => Some(Kind::Flap),
            Action::Open(_) => Some(Kind::Open),
            Action::Move(..) => Some(Kind::Move),
            Action::Leave(_) => Some(Kind::Leave),
            Action::Ask(..) => Some(Kind::Ask),
            Action::Reconfigure(..) => Some(Kind::Reconfigure),
            Action::Stop(_) => Some(Kind::Stop),
            Action::Deliver(_)
            | Action::Save(_)
            | Action::Keep(_)
            | Action::Read(_)
            | Action::Start(_)
            | Action::Cut(..)
            | Action::Join(..) => None,
        }
    }
}
