//! The newest news of each server, and when they came.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::gossip::incarnation::Incarnation;
use crate::gossip::news::{News, Report};
use crate::gossip::pace::{LEAP_MAX, NEWS_PERIOD};
use crate::ids::ServerId;
use crate::time::{Duration, Instant};

/// Does a server answer?
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Vitality {
    /// Nothing was heard of it.
    Unknown,
    /// Yes.
    Alive,
    /// Somebody had no answer, and it has not objected yet.
    Suspect,
    /// It did not object.
    Down,
}

impl Vitality {
    /// All of them.
    pub const ALL: [Vitality; 4] = [
        Vitality::Unknown,
        Vitality::Alive,
        Vitality::Suspect,
        Vitality::Down,
    ];

    /// The name by which the table knows it.
    pub fn name(self) -> &'static str {
        match self {
            Vitality::Unknown => "unknown",
            Vitality::Alive => "alive",
            Vitality::Suspect => "suspect",
            Vitality::Down => "down",
        }
    }
}

/// One line of the table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Which server.
    pub server: ServerId,
    /// Does it answer?
    pub vitality: Vitality,
    /// What it said last, and how long ago that came here.
    pub news: Option<(News, Duration)>,
}

/// The newest news of each server.
#[derive(Clone, Debug, Default)]
pub(super) struct Board {
    newest: BTreeMap<ServerId, (News, Instant)>,
    /// The server whose news were told last; the next datagram goes on after it.
    told_last: Option<ServerId>,
}

/// What became of news about this very server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// They are ours, or older.
    Known,
    /// Somebody has news of this life that it never said.
    Invented,
}

impl Board {
    /// This server says so. Returns whether it is to be told at once.
    pub(super) fn publish(
        &mut self,
        now: Instant,
        server: ServerId,
        incarnation: Incarnation,
        report: Report,
    ) -> Urgency {
        let urgency = match self.newest.get(&server) {
            None => Urgency::Now,
            Some((own, _)) if own.incarnation != incarnation => Urgency::Now,
            Some((own, _)) if own.report.differs(&report) => Urgency::Now,
            Some((_, told)) if now.since(*told) >= NEWS_PERIOD => Urgency::Soon,
            Some(_) => return Urgency::Never,
        };
        let version = match self.newest.get(&server) {
            Some((own, _)) if own.incarnation == incarnation => own.version.saturating_add(1),
            _ => 0,
        };
        let news = News {
            server,
            incarnation,
            version,
            report,
        };
        self.newest.insert(server, (news, now));
        urgency
    }

    /// Says the last report again, as that of a new life.
    pub(super) fn republish(&mut self, now: Instant, server: ServerId, incarnation: Incarnation) {
        if let Some((own, told)) = self.newest.get_mut(&server) {
            own.incarnation = incarnation;
            own.version = 0;
            *told = now;
        }
    }

    /// Another server's news, told by anybody: the newest wins. Those that are impossibly far ahead
    /// are a lie, and would stand for ever.
    pub(super) fn take(&mut self, now: Instant, news: News) {
        let known = self.newest.get(&news.server).map(|(known, _)| known);
        if known.is_some_and(|known| news.order() <= known.order()) {
            return;
        }
        let version = match known {
            Some(known) if known.incarnation == news.incarnation => known.version,
            _ => 0,
        };
        if news.version > version.saturating_add(LEAP_MAX) {
            return;
        }
        self.newest.insert(news.server, (news, now));
    }

    /// News of this server's own present life, told by another.
    pub(super) fn hear_of_itself(&mut self, news: &News) -> Verdict {
        let Some((own, _)) = self.newest.get_mut(&news.server) else {
            return Verdict::Known;
        };
        let invented = news.version > own.version
            || (news.version == own.version && news.report != own.report);
        if !invented || news.version > own.version.saturating_add(LEAP_MAX) {
            return Verdict::Known;
        }
        // What it says from here on is newer than the invention.
        own.version = news.version.saturating_add(1);
        Verdict::Invented
    }

    /// The news for the next datagram: first this server's own, then those of others in turn, each
    /// of a server of `members` and not the receiver's.
    pub(super) fn to_tell(
        &self,
        own: ServerId,
        receiver: ServerId,
        members: &BTreeSet<ServerId>,
    ) -> Vec<News> {
        let others = || {
            self.newest
                .iter()
                .filter(|(server, _)| **server != own && **server != receiver)
                .filter(|(server, _)| members.contains(server))
        };
        let after = |server: &ServerId| self.told_last.is_none_or(|last| *server > last);
        let in_turn = others()
            .filter(|(server, _)| after(server))
            .chain(others().filter(|(server, _)| !after(server)));
        let own = self.newest.get_key_value(&own);
        let in_order = own.into_iter().chain(in_turn);
        in_order.map(|(_, (news, _))| news.clone()).collect()
    }

    /// The news up to this server's were told.
    pub(super) fn told(&mut self, last: ServerId) {
        self.told_last = Some(last);
    }

    /// The newest life of a server of which there are news.
    pub(super) fn incarnation(&self, server: ServerId) -> Option<Incarnation> {
        self.newest.get(&server).map(|(news, _)| news.incarnation)
    }

    /// The newest news of a server, and their age.
    pub(super) fn of(&self, server: ServerId, now: Instant) -> Option<(News, Duration)> {
        let (news, came) = self.newest.get(&server)?;
        Some((news.clone(), now.since(*came)))
    }

    /// Forgets all servers but these.
    pub(super) fn keep(&mut self, servers: impl Fn(ServerId) -> bool) {
        self.newest.retain(|server, _| servers(*server));
    }
}

/// When is it to be told?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Urgency {
    /// To everybody at once.
    Now,
    /// With the next datagrams.
    Soon,
    /// It is not news.
    Never,
}
