//! Who answers: the SWIM protocol, by the crate `foca`, and what its members are called on the
//! wire.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use bytes::{Buf, BufMut};
use foca::{Config, Foca, Header, Message, NoCustomBroadcast, Notification, PeriodicParams, State};

use crate::codec::malformed::Malformed;
use crate::gossip::incarnation::Incarnation;
use crate::gossip::pace;
use crate::gossip::peers::Vitality;
use crate::ids::ServerId;
use crate::prng::Prng;
use crate::time::{Duration, Instant};

/// One life of one server; what foca calls an identity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Member {
    pub(super) server: ServerId,
    pub(super) incarnation: Incarnation,
}

impl foca::Identity for Member {
    type Addr = ServerId;

    fn renew(&self) -> Option<Member> {
        let incarnation = self.incarnation.outlived(self.incarnation.birth)?;
        Some(Member {
            incarnation,
            ..*self
        })
    }

    fn addr(&self) -> ServerId {
        self.server
    }

    fn win_addr_conflict(&self, other: &Member) -> bool {
        self.incarnation > other.incarnation
    }
}

/// What foca wants done.
#[derive(Default)]
struct Wishes {
    sends: Vec<(Member, Vec<u8>)>,
    timers: Vec<(foca::Timer<Member>, Duration)>,
    /// Timers from before mean nothing any more.
    restarted: bool,
}

impl foca::Runtime<Member> for Wishes {
    fn notify(&mut self, notification: Notification<'_, Member>) {
        match notification {
            Notification::Idle | Notification::Defunct | Notification::Rejoin(_) => {
                self.timers.clear();
                self.restarted = true;
            }
            Notification::MemberUp(_)
            | Notification::MemberDown(_)
            | Notification::Rename(..)
            | Notification::Active => {}
        }
    }

    fn send_to(&mut self, to: Member, data: &[u8]) {
        self.sends.push((to, data.to_vec()));
    }

    fn submit_after(&mut self, timer: foca::Timer<Member>, after: Duration) {
        self.timers.push((timer, after));
    }
}

/// A part of SWIM, looked through before foca gets it.
pub(super) struct Strained {
    /// What is left of it.
    pub(super) bytes: Vec<u8>,
    /// The newest life of this very server that is told of in it, or the unknown one.
    pub(super) told_of_own: Incarnation,
}

/// SWIM for one server, with its timers.
pub(super) struct Swim {
    foca: Foca<Member, Wire, Prng, NoCustomBroadcast>,
    /// Numbered, since several may be due at the same instant.
    timers: BTreeMap<(Instant, u64), foca::Timer<Member>>,
    timers_armed: u64,
    sends: Vec<(Member, Vec<u8>)>,
    /// What foca complained of although it was nobody's doing; always 0 as far as we know.
    pub(super) faults: u64,
}

impl Swim {
    pub(super) fn new(own: Member, prng: Prng) -> Swim {
        Swim {
            foca: Foca::new(own, config(), prng, Wire),
            timers: BTreeMap::new(),
            timers_armed: 0,
            sends: Vec::new(),
            faults: 0,
        }
    }

    /// Which life of which server this is.
    pub(super) fn own(&self) -> Member {
        *self.foca.identity()
    }

    /// The newest life of `server` that is known, and whether it answers.
    pub(super) fn of(&self, server: ServerId) -> Option<(Incarnation, Vitality)> {
        let mut members = self.foca.iter_membership_state();
        let member = members.find(|member| member.id().server == server)?;
        let vitality = match member.state() {
            State::Alive => Vitality::Alive,
            State::Suspect => Vitality::Suspect,
            State::Down => Vitality::Down,
        };
        Some((member.id().incarnation, vitality))
    }

    /// The earliest timer.
    pub(super) fn armed(&self) -> Option<Instant> {
        self.timers.first_key_value().map(|((at, _), _)| *at)
    }

    /// Steps the timers that are due.
    pub(super) fn fire(&mut self, now: Instant) {
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let timer = entry.remove();
            let mut wishes = Wishes::default();
            let fired = self.foca.handle_timer(timer, &mut wishes);
            self.faults += u64::from(fired.is_err());
            self.grant(now, wishes);
        }
    }

    /// All timers wait longer by this.
    pub(super) fn delay(&mut self, by: Duration) {
        let timers = core::mem::take(&mut self.timers);
        let delayed = |((at, number), timer): ((Instant, u64), _)| ((at.after(by), number), timer);
        self.timers = timers.into_iter().map(delayed).collect();
    }

    /// Asks a server into the ensemble's gossip.
    pub(super) fn greet(&mut self, now: Instant, server: ServerId) {
        let incarnation = self
            .of(server)
            .map_or(Incarnation::UNKNOWN, |(known, _)| known);
        let member = Member {
            server,
            incarnation,
        };
        let mut wishes = Wishes::default();
        let greeted = self.foca.announce(member, &mut wishes);
        self.faults += u64::from(greeted.is_err());
        self.grant(now, wishes);
    }

    /// Tells some others at once who answers and who does not.
    pub(super) fn spread(&mut self, now: Instant) {
        let mut wishes = Wishes::default();
        let spread = self.foca.gossip(&mut wishes);
        self.faults += u64::from(spread.is_err());
        self.grant(now, wishes);
    }

    /// Lives on under another incarnation.
    pub(super) fn renew(&mut self, now: Instant, incarnation: Incarnation) {
        let own = self.own();
        assert!(incarnation > own.incarnation, "a life that is not newer");
        let mut wishes = Wishes {
            restarted: true,
            ..Wishes::default()
        };
        let renewed = Member { incarnation, ..own };
        let renewed = self.foca.change_identity(renewed, &mut wishes);
        self.faults += u64::from(renewed.is_err());
        self.settle(now, wishes);
    }

    /// Another server's part of SWIM, strained.
    ///
    /// # Errors
    /// If foca does not understand it.
    pub(super) fn heard(&mut self, now: Instant, bytes: &[u8]) -> Result<(), foca::Error> {
        let mut wishes = Wishes::default();
        let understood = self.foca.handle_data(bytes, &mut wishes);
        self.settle(now, wishes);
        understood
    }

    /// A part of SWIM that `sender` sent, without what it tells of servers or lives that are not
    /// `plausible`. Without this a liar could fill the table with servers that nobody has.
    ///
    /// # Errors
    /// If it is none, or is not the sender's.
    pub(super) fn strain(
        &self,
        bytes: &[u8],
        sender: Member,
        plausible: impl Fn(Member) -> bool,
    ) -> Result<Strained, Malformed> {
        let own = self.own();
        let mut rest = bytes;
        let header = get_header(&mut rest)?;
        let other = match header.message {
            Message::PingReq { target, .. } => Some(target),
            Message::IndirectPing { origin, .. } | Message::ForwardedAck { origin, .. } => {
                Some(origin)
            }
            Message::IndirectAck { target, .. } => Some(target),
            _ => None,
        };
        let known = other.is_none_or(|other| other.server != own.server && plausible(other));
        if header.src != sender || header.dst.server != own.server || !known {
            return Err(malformed("header of SWIM"));
        }
        let mut strained = Strained {
            bytes: bytes[..bytes.len() - rest.len()].to_vec(),
            told_of_own: Incarnation::UNKNOWN,
        };
        if rest.is_empty() {
            return Ok(strained);
        }
        let count = rest
            .try_get_u16()
            .map_err(|_| malformed("count of members"))?;
        let mut kept = Vec::new();
        for _ in 0..count {
            let member = get_member(&mut rest)?;
            let id = *member.id();
            if id.server == own.server && plausible(id) {
                strained.told_of_own = strained.told_of_own.max(id.incarnation);
            }
            // Of this server's other lives foca need not know.
            let wanted = id.server != own.server || id == own;
            if wanted && plausible(id) {
                kept.push(member);
            }
        }
        if !rest.is_empty() {
            return Err(malformed("end of the part of SWIM"));
        }
        let count = u16::try_from(kept.len()).expect("no more than there were");
        strained.bytes.put_u16(count);
        for member in &kept {
            put_member(&mut strained.bytes, member);
        }
        Ok(strained)
    }

    /// Does what foca wishes, and lets it look whether it has anybody to probe: after a change of
    /// its identity it does not by itself.
    fn settle(&mut self, now: Instant, mut wishes: Wishes) {
        let nobody = core::iter::empty();
        let settled = self.foca.apply_many(nobody, false, &mut wishes);
        self.faults += u64::from(settled.is_err());
        self.grant(now, wishes);
    }

    /// What is to be sent, and to whom. What a life said that is outlived is not among it: nobody
    /// would believe it.
    pub(super) fn take_sends(&mut self) -> Vec<(ServerId, Vec<u8>)> {
        let sends = core::mem::take(&mut self.sends);
        let sends = sends
            .into_iter()
            .filter(|(to, bytes)| self.is_meant(*to, bytes));
        sends.map(|(to, bytes)| (to.server, bytes)).collect()
    }

    /// Foca tells a suspect that it is down also when it has objected in time: then it is not, and
    /// must not hear so, or it would begin a new life for nothing.
    fn is_meant(&self, to: Member, bytes: &[u8]) -> bool {
        let Ok(header) = get_header(bytes) else {
            return false;
        };
        let answers = (to.incarnation, Vitality::Alive);
        let needless = header.message == Message::TurnUndead && self.of(to.server) == Some(answers);
        header.src == self.own() && !needless
    }

    fn grant(&mut self, now: Instant, wishes: Wishes) {
        if wishes.restarted {
            self.timers.clear();
        }
        for (timer, after) in wishes.timers {
            self.timers_armed += 1;
            self.timers
                .insert((now.after(after), self.timers_armed), timer);
        }
        self.sends.extend(wishes.sends);
    }
}

fn config() -> Config {
    Config {
        probe_period: pace::PROBE_PERIOD,
        probe_rtt: pace::ANSWER_MAX,
        num_indirect_probes: pace::PROXIES,
        max_transmissions: pace::TELLINGS,
        suspect_to_down_after: pace::OBJECTION_MAX,
        // A server has one place, whichever life it is in; there are 255 at most.
        remove_down_after: None,
        max_packet_size: pace::SWIM_BYTES_MAX.try_into().expect("it is not zero"),
        notify_down_members: true,
        // We greet who does not answer ourselves, also those that were never heard of.
        periodic_announce: None,
        periodic_announce_to_down_members: None,
        periodic_gossip: Some(PeriodicParams {
            frequency: pace::SPREAD_PERIOD,
            num_members: pace::SPREAD_WIDTH,
        }),
    }
}

/// The spelling of foca's values. Their sizes are fixed.
struct Wire;

const MEMBER_BYTES: usize = 17;

impl foca::Codec<Member> for Wire {
    type Error = Malformed;

    fn encode_header(
        &mut self,
        header: &Header<Member>,
        mut out: impl BufMut,
    ) -> Result<(), Malformed> {
        const HEADER_BYTES_MAX: usize = 3 * MEMBER_BYTES + 4;
        if out.remaining_mut() < HEADER_BYTES_MAX {
            return Err(malformed("room for a header"));
        }
        put_id(&mut out, header.src);
        out.put_u16(header.src_incarnation);
        put_id(&mut out, header.dst);
        let (kind, number, other) = match &header.message {
            Message::Ping(number) => (0, Some(*number), None),
            Message::Ack(number) => (1, Some(*number), None),
            Message::PingReq {
                target,
                probe_number,
            } => (2, Some(*probe_number), Some(*target)),
            Message::IndirectPing {
                origin,
                probe_number,
            } => (3, Some(*probe_number), Some(*origin)),
            Message::IndirectAck {
                target,
                probe_number,
            } => (4, Some(*probe_number), Some(*target)),
            Message::ForwardedAck {
                origin,
                probe_number,
            } => (5, Some(*probe_number), Some(*origin)),
            Message::Announce => (6, None, None),
            Message::Feed => (7, None, None),
            Message::Gossip => (8, None, None),
            Message::TurnUndead => (9, None, None),
            Message::Broadcast => return Err(malformed("message: broadcasts are not used")),
        };
        out.put_u8(kind);
        number.into_iter().for_each(|number| out.put_u8(number));
        other.into_iter().for_each(|other| put_id(&mut out, other));
        Ok(())
    }

    fn decode_header(&mut self, input: impl Buf) -> Result<Header<Member>, Malformed> {
        get_header(input)
    }

    fn encode_member(
        &mut self,
        member: &foca::Member<Member>,
        mut out: impl BufMut,
    ) -> Result<(), Malformed> {
        if out.remaining_mut() < MEMBER_BYTES + 3 {
            return Err(malformed("room for a member"));
        }
        put_member(&mut out, member);
        Ok(())
    }

    fn decode_member(&mut self, input: impl Buf) -> Result<foca::Member<Member>, Malformed> {
        get_member(input)
    }
}

fn malformed(what: &'static str) -> Malformed {
    Malformed { what, offset: 0 }
}

fn get_header(mut input: impl Buf) -> Result<Header<Member>, Malformed> {
    let what = "header of SWIM";
    let src = get_id(&mut input)?;
    let src_incarnation = input.try_get_u16().map_err(|_| malformed(what))?;
    let dst = get_id(&mut input)?;
    let kind = input.try_get_u8().map_err(|_| malformed(what))?;
    let mut probe_number = 0;
    if kind <= 5 {
        probe_number = input.try_get_u8().map_err(|_| malformed(what))?;
    }
    let message = match kind {
        0 => Message::Ping(probe_number),
        1 => Message::Ack(probe_number),
        2 => Message::PingReq {
            target: get_id(&mut input)?,
            probe_number,
        },
        3 => Message::IndirectPing {
            origin: get_id(&mut input)?,
            probe_number,
        },
        4 => Message::IndirectAck {
            target: get_id(&mut input)?,
            probe_number,
        },
        5 => Message::ForwardedAck {
            origin: get_id(&mut input)?,
            probe_number,
        },
        6 => Message::Announce,
        7 => Message::Feed,
        8 => Message::Gossip,
        9 => Message::TurnUndead,
        _ => return Err(malformed(what)),
    };
    Ok(Header {
        src,
        src_incarnation,
        dst,
        message,
    })
}

fn put_member(mut out: impl BufMut, member: &foca::Member<Member>) {
    put_id(&mut out, *member.id());
    out.put_u16(member.incarnation());
    out.put_u8(match member.state() {
        State::Alive => 0,
        State::Suspect => 1,
        State::Down => 2,
    });
}

fn get_member(mut input: impl Buf) -> Result<foca::Member<Member>, Malformed> {
    let what = "member";
    let id = get_id(&mut input)?;
    let objections = input.try_get_u16().map_err(|_| malformed(what))?;
    let state = match input.try_get_u8() {
        Ok(0) => State::Alive,
        Ok(1) => State::Suspect,
        Ok(2) => State::Down,
        _ => return Err(malformed(what)),
    };
    Ok(foca::Member::new(id, objections, state))
}

fn put_id(out: &mut impl BufMut, id: Member) {
    out.put_u8(id.server.0);
    out.put_u64(id.incarnation.number);
    out.put_u64(id.incarnation.birth);
}

fn get_id(input: &mut impl Buf) -> Result<Member, Malformed> {
    let what = "identity of a member";
    let server = match input.try_get_u8() {
        Ok(server) if server != 0 => ServerId(server),
        _ => return Err(malformed(what)),
    };
    let number = input.try_get_u64().map_err(|_| malformed(what))?;
    let birth = input.try_get_u64().map_err(|_| malformed(what))?;
    Ok(Member {
        server,
        incarnation: Incarnation { number, birth },
    })
}

/// The servers of a set that are not taken for living ones.
pub(super) fn absent(swim: &Swim, members: &BTreeSet<ServerId>) -> Vec<ServerId> {
    let answers = |server: &ServerId| {
        matches!(
            swim.of(*server),
            Some((_, Vitality::Alive | Vitality::Suspect))
        )
    };
    members
        .iter()
        .copied()
        .filter(|server| !answers(server))
        .collect()
}
