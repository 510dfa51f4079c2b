//! A leader's own state: how far each other member is. It ends with its epoch.

use alloc::collections::{BTreeMap, VecDeque};

use crate::ids::{DirectoryId, ServerId, Zxid};
use crate::membership::Membership;
use crate::quorum::act::{Alarm, Timing};
use crate::quorum::log::Standing;
use crate::time::{Instant, Now};

/// Messages with entries that a server has not answered: together with [`APPEND_BYTES_MAX`] more
/// than any link carries within a round trip and a sync.
const UNANSWERED_MAX: usize = 64;

/// Beats without an answer to a piece of a snapshot before it is sent again.
pub(super) const CHUNK_PATIENCE_BEATS: u32 = 20;

/// How a server is brought forward.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Pace {
    /// Where its log meets the leader's is not known: one message at a time.
    Probe {
        /// It was sent, and is not answered.
        asked: bool,
    },
    /// It meets: entries follow each other without waiting for answers.
    Stream,
    /// Its log ends before the leader's begins: it needs a snapshot.
    Transfer {
        /// The snapshot's position; zero until there is one.
        zxid: Zxid,
        /// How much of it the server has.
        offset: u64,
        /// Beats since something was heard.
        silence: u32,
    },
}

/// One other member, as the leader knows it.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    /// What speaks for it, by its last answer.
    pub directory: Option<DirectoryId>,
    pub standing: Standing,
    /// Its log is the leader's up to here, and durable.
    pub matched: Zxid,
    /// What was sent last, or is to be probed.
    pub sent: Zxid,
    /// The ends of the messages that are not answered.
    pub unanswered: VecDeque<Zxid>,
    pub pace: Pace,
    /// The end of what is agreed, as it was told.
    pub told: Zxid,
    /// The last beat that it answered.
    pub round: u64,
    /// It answered since the leader looked last.
    pub answered: bool,
    /// It was matched so far at the last beat.
    pub matched_at_beat: Zxid,
}

/// A question for what is agreed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Barrier {
    pub to: ServerId,
    pub number: u64,
    pub zxid: Zxid,
    /// The beat that a quorum must answer.
    pub round: u64,
}

/// The leader's own state; it ends with its epoch.
#[derive(Clone, Debug)]
pub(super) struct Reign {
    pub others: BTreeMap<ServerId, Progress>,
    pub round: u64,
    pub beat_at: Instant,
    pub quorum_at: Instant,
    /// In the order of the questions.
    pub barriers: VecDeque<Barrier>,
    /// A beat is to be sent for the barriers that have no round yet.
    pub wants_round: bool,
    /// The leader hands over, and proposes no more.
    pub successor: Option<ServerId>,
    pub has_named_successor: bool,
}

impl Reign {
    pub fn new(now: Now, timing: Timing) -> Reign {
        Reign {
            others: BTreeMap::new(),
            round: 0,
            beat_at: now.clock,
            quorum_at: now.clock.after(timing.election_timeout),
            barriers: VecDeque::new(),
            wants_round: false,
            successor: None,
            has_named_successor: false,
        }
    }

    /// The alarms; a leader alone needs none.
    pub fn armed(&self) -> [Option<(Instant, Alarm)>; 2] {
        let alarms = [(self.beat_at, Alarm::Beat), (self.quorum_at, Alarm::Quorum)];
        let is_alone = self.others.is_empty() && self.successor.is_none();
        alarms.map(|alarm| (!is_alone).then_some(alarm))
    }

    pub fn is_transferring(&self) -> bool {
        let transfers = |progress: &Progress| matches!(progress.pace, Pace::Transfer { .. });
        self.others.values().any(transfers)
    }

    pub fn matched(&self, server: ServerId) -> Option<Zxid> {
        self.others.get(&server).map(|progress| progress.matched)
    }

    pub fn digest_into(&self, number: &mut impl FnMut(u64)) {
        for (server, progress) in &self.others {
            number(server.0.into());
            number(progress.directory.map_or(0, |directory| directory.0 as u64));
            number(progress.standing as u64);
            number(progress.matched.0);
            number(progress.sent.0);
            progress.unanswered.iter().for_each(|zxid| number(zxid.0));
            match progress.pace {
                Pace::Probe { asked } => number(1 + u64::from(asked)),
                Pace::Stream => number(3),
                Pace::Transfer {
                    zxid,
                    offset,
                    silence,
                } => {
                    number(4);
                    number(zxid.0);
                    number(offset);
                    number(silence.into());
                }
            }
            number(progress.told.0);
            number(progress.round);
            number(progress.answered.into());
            number(progress.matched_at_beat.0);
        }
        for barrier in &self.barriers {
            number(barrier.to.0.into());
            number(barrier.number);
            number(barrier.zxid.0);
            number(barrier.round);
        }
        // As it is, not how far it is ahead of others: messages in flight name it.
        number(self.round);
        number(self.wants_round.into());
        number(self.successor.map_or(0, |server| server.0.into()));
        number(self.has_named_successor.into());
    }
}

impl Progress {
    /// Does what it has saved count among these members? Only if its data directory is the one that
    /// they know, and was admitted.
    pub fn counts_for(&self, server: ServerId, members: &Membership) -> bool {
        self.standing == Standing::Admitted
            && self
                .directory
                .is_some_and(|directory| members.knows(server, directory))
    }

    pub fn new(sent: Zxid) -> Progress {
        Progress {
            directory: None,
            standing: Standing::Stranger,
            matched: Zxid::ZERO,
            sent,
            unanswered: VecDeque::new(),
            pace: Pace::Probe { asked: false },
            told: Zxid::ZERO,
            round: 0,
            answered: false,
            matched_at_beat: Zxid::ZERO,
        }
    }

    pub fn probe(&mut self, from: Zxid) {
        self.sent = from;
        self.unanswered.clear();
        self.pace = Pace::Probe { asked: false };
    }

    pub fn has_room(&self) -> bool {
        match self.pace {
            Pace::Probe { asked } => !asked,
            Pace::Stream => self.unanswered.len() < UNANSWERED_MAX,
            Pace::Transfer { .. } => false,
        }
    }
}
