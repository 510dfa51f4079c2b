//! Sessions of this server alone: it opens them, keeps them alive by its own clock, and forgets
//! them when its life ends. The log does not have them, and no other server knows of them, unless
//! the ensemble takes one over: then it is here no more.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::ids::{Password, ServerId, SessionId};
use crate::node::lane::Lane;
use crate::session::Heartbeats;
use crate::time::{Duration, Instant};

/// The most of them at a time: ten times the connections that a server has unless it is told
/// otherwise. One whose connection is gone stays until its time-out.
const LOCALS_MAX: usize = 100_000;

/// What is known of such a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Local {
    /// Its secret.
    pub password: Password,
    /// Its negotiated time-out.
    pub timeout_ms: u32,
    /// For how long.
    pub stay: Stay,
}

/// How long such a session may last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stay {
    /// As long as clients are served which only read.
    WhileReadOnly,
    /// As long as its client gives signs of life.
    Whole,
}

/// The sessions of this server alone; [`LOCALS_MAX`] at most.
#[derive(Clone, Debug)]
pub(super) struct Locals {
    server: ServerId,
    opened: BTreeMap<SessionId, Local>,
    /// Who is alive.
    pub beats: Heartbeats,
    /// On their way to the leader: what they ask for.
    pub lane: Lane,
    /// The number of the next one.
    next: u64,
}

impl Locals {
    /// None. The numbers of one life begin at `first`, a random place.
    pub fn new(server: ServerId, first: u64, grain: Duration) -> Locals {
        Locals {
            server,
            opened: BTreeMap::new(),
            beats: Heartbeats::new(grain),
            lane: Lane::new(first as u32),
            next: first,
        }
    }

    /// Opens one.
    pub fn open(&mut self, local: Local) -> SessionId {
        let session = SessionId::local(self.server, self.next);
        self.next = self.next.wrapping_add(1);
        self.opened.insert(session, local);
        session
    }

    /// One of them, if it lives.
    pub fn get(&self, session: SessionId) -> Option<&Local> {
        self.opened.get(&session)
    }

    /// Waits for a session's heartbeats, with a full time-out.
    pub fn track(&mut self, session: SessionId, timeout_ms: u32, clock: Instant) {
        if let Some(known) = self.opened.get_mut(&session) {
            known.timeout_ms = timeout_ms;
        }
        let timeout = Duration::from_millis(u64::from(timeout_ms));
        self.beats.track(session, timeout, clock);
    }

    /// Forgets one.
    pub fn forget(&mut self, session: SessionId) {
        self.beats.forget(session);
        self.opened.remove(&session);
    }

    /// Forgets those that `are_over` says.
    pub fn forget_if(&mut self, are_over: impl Fn(SessionId, &Local) -> bool) {
        let opened = self.opened.iter();
        let over = opened.filter(|(session, local)| are_over(**session, local));
        let over: Vec<SessionId> = over.map(|(session, _)| *session).collect();
        for session in over {
            self.forget(session);
        }
    }

    /// Is there room for another one?
    pub fn have_room(&self) -> bool {
        self.opened.len() < LOCALS_MAX
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.opened.len()
    }

    /// Asserts what must hold between any two steps.
    pub fn check(&self) {
        self.lane.check();
        for session in self.opened.keys() {
            assert!(
                session.is_local(),
                "sessions of the ensemble are in the log"
            );
            let tracked = self.beats.sessions().any(|tracked| tracked == *session);
            assert!(tracked, "a session of this server ends with its time-out");
        }
    }
}
