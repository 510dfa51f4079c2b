//! Ways to damage a good history, each with the invariant that it breaks. A checker that does not
//! see its damage cannot fail, and is worth nothing.

use crate::check::tests::damage::agreed::{
    does_not_start, executed_twice, late_effect, log_gap, lost_entry, lost_log, not_durable,
    nothing_goes, other_digest, other_entry, other_snapshot, skipped, two_leaders,
};
use crate::check::tests::damage::answers::{
    Was, denied_write, double_child, double_reply, drop_reply, executes_twice, failed_ping,
    from_the_future, garbage, half_multi, missing_child, multi, multi_place, never_agreed,
    nobody_sent, not_found, older_state, others_position, own_write, sequence_again,
    sequence_skipped, short_number, stale_read, stale_sync, stat_of_read, stat_of_write,
    swap_replies, swap_requests, throttled, wrong_data, wrong_error, wrong_sync, wrong_xid,
};
use crate::check::tests::damage::ensemble;
use crate::check::tests::damage::handshakes;
use crate::check::tests::damage::living::{
    dead_session, denied, early, early_on_the_wire, fewer_go, forgets_its_token, good_token,
    lets_go_late, never_expires, never_heard, no_token, of_an_ended_session, old_token,
    older_token_holds, one_token, opened_twice, orphan, other_ending, other_session, phantom_end,
    secret, somebody_else, stays_behind, stranger_ends_it, told_expired, two_holders, wrong_acl,
    wrong_password, wrong_timeout,
};
use crate::check::tests::damage::positions;
use crate::check::tests::damage::readers;
use crate::check::tests::damage::stats;
use crate::check::tests::damage::watched::{
    again_later, double_event, event_for_a_stranger, late_event, lost_event, lost_of_children,
    older_than_the_last, rearm_kind, rearm_lost, rearm_position, rearm_spurious, spurious_event,
    swap_events, wrong_check, wrong_kind, wrong_position,
};
use crate::history::History;

/// Damages the history at its `nth` fitting place; `None` if there is none.
pub type Damage = fn(&mut History, usize) -> Option<()>;

/// What is done, which invariant must be named, and how.
pub const DAMAGES: &[(&str, &str, Damage)] = &[
    ("a reply is dropped", "W3 order", drop_reply),
    ("two replies are swapped", "W3 order", swap_replies),
    ("a reply comes twice", "W3 order", double_reply),
    ("a reply has the wrong xid", "W3 order", wrong_xid),
    ("two requests are swapped", "W3 order", swap_requests),
    (
        "who may write is refused it for want of a leader",
        "N1 read only",
        readers::refused,
    ),
    (
        "a client that did not ask for it is only let read",
        "N1 read only",
        readers::unasked,
    ),
    (
        "a write is done without a leader",
        "N1 read only",
        readers::writes,
    ),
    (
        "a reader is given a session of the ensemble",
        "N1 read only",
        readers::agreed_session,
    ),
    (
        "a client is only let read for ever",
        "N2 whole again",
        readers::for_ever,
    ),
    ("a stat field is wrong", "T2 stat", |h, n| {
        stat_of_read(h, n, |stat| stat.version += 1)
    }),
    ("cversion is wrong", "T2 stat", |h, n| {
        stat_of_read(h, n, |stat| stat.cversion += 1)
    }),
    ("pzxid is wrong", "T2 stat", |h, n| {
        stat_of_read(h, n, |stat| stat.pzxid.0 += 1)
    }),
    ("mtime is wrong", "T2 stat", |h, n| {
        stat_of_read(h, n, |stat| stat.mtime.0 += 1)
    }),
    ("a write's stat is wrong", "T2 stat", stat_of_write),
    ("a create's stat is wrong", "T2 stat", stats::of_create),
    ("czxid is wrong", "T2 stat", stats::creation),
    ("ctime is wrong", "T2 stat", stats::creation_time),
    (
        "mzxid is wrong beside data",
        "T2 stat",
        stats::change_beside_data,
    ),
    (
        "dataLength is wrong beside data",
        "T2 stat",
        stats::length_beside_data,
    ),
    (
        "aversion is wrong beside a list",
        "T2 stat",
        stats::version_beside_acl,
    ),
    (
        "numChildren is wrong beside names",
        "T2 stat",
        stats::count_beside_children,
    ),
    (
        "an ephemeral is shown without its owner",
        "T2 stat",
        stats::no_owner,
    ),
    ("data is not what was written", "R1 read", wrong_data),
    ("a znode is not found", "R1 read", not_found),
    ("a read is refused without a rate", "Q2 rate", throttled),
    ("a child is missing", "R1 read", missing_child),
    ("a child is listed twice", "R1 read", double_child),
    ("sync answers another path", "R1 read", wrong_sync),
    ("a ping fails", "R1 read", failed_ping),
    ("a write's error is wrong", "W2 result", wrong_error),
    ("a write that was done is denied", "W2 result", denied_write),
    (
        "a write is told another's position",
        "W2 result",
        others_position,
    ),
    ("a write was never agreed", "W2 result", never_agreed),
    (
        "a sequence number is used again",
        "T1 sequence",
        sequence_again,
    ),
    (
        "a sequence number is skipped",
        "T1 sequence",
        sequence_skipped,
    ),
    ("a sequence number is short", "T1 sequence", short_number),
    ("a refused multi is told as done", "W4 atomic", |h, n| {
        multi(h, n, Was::Refused)
    }),
    ("a done multi is told as refused", "W4 atomic", |h, n| {
        multi(h, n, Was::Done)
    }),
    ("a multi fails at another place", "W4 atomic", multi_place),
    ("a refused multi left something", "W4 atomic", half_multi),
    (
        "a transaction is gone after recovery",
        "I3 durability",
        lost_entry,
    ),
    (
        "all transactions are gone after recovery",
        "I3 durability",
        lost_log,
    ),
    ("a server does not start", "I3 durability", does_not_start),
    ("nothing goes by itself", "L8 reaping", nothing_goes),
    (
        "an answer came before it was durable",
        "I3 durability",
        not_durable,
    ),
    (
        "a recovered transaction is another",
        "I1 agreement",
        other_entry,
    ),
    (
        "a recovered snapshot is of nothing",
        "I1 agreement",
        other_snapshot,
    ),
    (
        "two lives differ in their digest",
        "I1 agreement",
        other_digest,
    ),
    ("a position is executed twice", "I2 zxid", executed_twice),
    ("a position is skipped", "I2 zxid", skipped),
    ("an epoch has two leaders", "I2 zxid", two_leaders),
    ("a recovered log has a gap", "I2 zxid", log_gap),
    ("a read shows the future", "I4 no rollback", from_the_future),
    (
        "an event is of the future",
        "I4 no rollback",
        positions::event_of_the_future,
    ),
    (
        "a session is of the future",
        "I4 no rollback",
        positions::session_of_the_future,
    ),
    ("a session sees an older state", "R2 monotone", older_state),
    (
        "a session that comes back sees an older state",
        "R2 monotone",
        positions::older_after_return,
    ),
    (
        "a session that comes back does not see its write",
        "R3 own writes",
        positions::own_write_after_return,
    ),
    (
        "a client does not see its write",
        "R3 own writes",
        own_write,
    ),
    ("a sync is stale", "R4 sync", stale_sync),
    (
        "a read after a sync is stale",
        "R4 sync",
        positions::stale_after_sync,
    ),
    (
        "a write takes effect after its answer",
        "W1 linearizable",
        late_effect,
    ),
    (
        "a write takes effect before it is sent",
        "W1 linearizable",
        positions::done_before_it_was_sent,
    ),
    (
        "two writes are told one position",
        "W5 once",
        positions::one_position_for_two,
    ),
    ("a transaction that nobody sent", "W5 once", nobody_sent),
    ("a write executes twice", "W5 once", executes_twice),
    ("an event is lost", "V3 no lost watch", lost_event),
    ("an event is late", "V3 no lost watch", late_event),
    ("an event comes twice", "V1 one-shot", double_event),
    ("an event comes again later", "V1 one-shot", again_later),
    (
        "a children watch is not told",
        "V3 no lost watch",
        lost_of_children,
    ),
    ("an event is of the wrong kind", "V2 true event", wrong_kind),
    (
        "an event has the wrong position",
        "V2 true event",
        wrong_position,
    ),
    (
        "an event that nobody waits for",
        "V2 true event",
        spurious_event,
    ),
    ("two events are swapped", "V4 event order", swap_events),
    (
        "an event says to be older than the last",
        "V4 event order",
        older_than_the_last,
    ),
    ("setWatches does not tell", "V5 re-arm", rearm_lost),
    ("setWatches tells too much", "V5 re-arm", rearm_spurious),
    (
        "setWatches tells of another position",
        "V5 re-arm",
        rearm_position,
    ),
    ("setWatches tells of another kind", "V5 re-arm", rearm_kind),
    ("checkWatches is wrong", "V6 watches kept", wrong_check),
    ("a session expires early", "E1 not early", early),
    (
        "a session expires though it is heard",
        "E1 not early",
        early_on_the_wire,
    ),
    ("a session does not expire", "E2 not late", never_expires),
    (
        "nobody hears heartbeats, and nothing expires",
        "E2 not late",
        never_heard,
    ),
    (
        "an ephemeral stays behind",
        "E3 ephemerals go",
        stays_behind,
    ),
    (
        "a session ends that did not",
        "E3 ephemerals go",
        phantom_end,
    ),
    (
        "fewer ephemerals go than there were",
        "E3 ephemerals go",
        fewer_go,
    ),
    (
        "a session ends for another reason",
        "E3 ephemerals go",
        other_ending,
    ),
    ("an ephemeral outlives its session", "E4 no orphan", orphan),
    (
        "a live session is told it expired",
        "E4 no orphan",
        told_expired,
    ),
    (
        "a znode belongs to a session that ended",
        "E4 no orphan",
        of_an_ended_session,
    ),
    (
        "a client is given another's session",
        "E5 identity",
        other_session,
    ),
    ("a session is opened twice", "E5 identity", opened_twice),
    ("a wrong password attaches", "E5 identity", wrong_password),
    ("a dead session is attached", "E5 identity", dead_session),
    (
        "a session has another password",
        "E5 identity",
        handshakes::other_password,
    ),
    (
        "a time-out is not as negotiated",
        "E6 negotiation",
        wrong_timeout,
    ),
    (
        "a wish is granted beyond the limits",
        "E6 negotiation",
        handshakes::wish_granted,
    ),
    (
        "the log has another time-out than is told",
        "E6 negotiation",
        handshakes::other_timeout_in_the_log,
    ),
    ("a secret is shown", "T3 access", secret),
    ("an open znode is denied", "T3 access", denied),
    ("a list is not what was set", "T3 access", wrong_acl),
    (
        "a write is done as somebody else",
        "T3 access",
        somebody_else,
    ),
    (
        "an event tells who may not read",
        "T3 access",
        event_for_a_stranger,
    ),
    ("two clients hold a lock", "M1 mutex", two_holders),
    ("a client lets go too late", "M1 mutex", lets_go_late),
    ("an old token is accepted", "M2 fencing", old_token),
    ("a good token is refused", "M2 fencing", good_token),
    ("the store forgets a token", "M2 fencing", forgets_its_token),
    ("two clients have one token", "M3 election", one_token),
    ("a token is no position", "M3 election", no_token),
    (
        "an older token comes to hold",
        "M3 election",
        older_token_holds,
    ),
    ("a stranger ends a hold", "M3 election", stranger_ends_it),
    ("garbage", "G1 garbage", garbage),
    (
        "garbage for a session",
        "G1 garbage",
        handshakes::garbage_for_a_session,
    ),
];

/// The same, for what only one server alone can show: it has no excuse for an old state.
pub const DAMAGES_TO_ONE: &[(&str, &str, Damage)] = &[(
    "a lone server answers from the past",
    "R6 timely",
    stale_read,
)];

/// The same, for what only an ensemble of three can show.
pub const DAMAGES_TO_AN_ENSEMBLE: &[(&str, &str, Damage)] = &[
    (
        "a leader never learns that it is replaced",
        "L7 abdication",
        ensemble::never_abdicates,
    ),
    (
        "an entry is missing on a server",
        "I2 zxid",
        ensemble::missing_entry,
    ),
    (
        "an entry is another on a follower",
        "I5 log matching",
        ensemble::other_entry_on_a_follower,
    ),
    (
        "a write is told before a quorum has it",
        "I3 durability",
        ensemble::not_on_a_quorum,
    ),
    (
        "a server executes what its disk has not",
        "I3 durability",
        ensemble::not_on_its_own_disk,
    ),
    (
        "a digest differs on one follower",
        "I1 agreement",
        ensemble::other_digest_on_a_follower,
    ),
    (
        "a leader lacks what is agreed",
        "I5 completeness",
        ensemble::leader_without,
    ),
    (
        "a leader had no space for what is agreed",
        "I5 completeness",
        ensemble::leader_without_space,
    ),
    (
        "a log lacks the end of an epoch",
        "I5 log matching",
        ensemble::end_of_an_epoch_missing,
    ),
    (
        "a cut takes what is agreed",
        "I5 state machine",
        ensemble::cut_below,
    ),
    (
        "what is agreed is rewritten after a cut",
        "I5 state machine",
        ensemble::rewritten,
    ),
    (
        "a leader cuts its log",
        "I5 append only",
        ensemble::leader_cuts,
    ),
    (
        "a leader rewrites its log",
        "I5 append only",
        ensemble::leader_rewrites,
    ),
    (
        "a vote is given twice",
        "I5 election safety",
        ensemble::votes_twice,
    ),
    (
        "a leader has no votes",
        "I5 election safety",
        ensemble::elected_by_nobody,
    ),
    (
        "an epoch has two leaders",
        "I5 election safety",
        ensemble::two_leaders,
    ),
    (
        "two servers lead one epoch",
        "I2 zxid",
        ensemble::two_leaders,
    ),
    (
        "a leader goes without a reason",
        "L5 leader stickiness",
        ensemble::deposed_for_nothing,
    ),
    (
        "another leads without a reason",
        "L5 leader stickiness",
        ensemble::replaced_for_nothing,
    ),
    (
        "a server stands that cannot win",
        "L6 pre-vote",
        ensemble::stands_in_vain,
    ),
    (
        "a ballot is forgotten",
        "I3 durability",
        ensemble::forgets_its_ballot,
    ),
    (
        "learners are counted in a quorum",
        "I3 durability",
        ensemble::learners_count,
    ),
    (
        "who has no weight is counted",
        "I3 durability",
        ensemble::weightless_count,
    ),
    (
        "unknown directories are counted",
        "I3 durability",
        ensemble::strangers_count,
    ),
    (
        "one of two voter sets is counted",
        "I3 durability",
        ensemble::one_voter_set_counts,
    ),
    (
        "an old snapshot takes what is agreed",
        "I5 state machine",
        ensemble::snapshot_of_the_past,
    ),
    (
        "a snapshot holds something else",
        "I1 agreement",
        ensemble::snapshot_of_something_else,
    ),
    (
        "a follower ends a session",
        "E1 not early",
        ensemble::ended_by_a_follower,
    ),
    (
        "a new leader ends a session at once",
        "E1 not early",
        ensemble::ended_by_a_new_leader,
    ),
    (
        "a deposed leader answers a read",
        "R5 linearizable",
        ensemble::read_of_a_deposed_leader,
    ),
    (
        "the first linearizable read is not",
        "R5 linearizable",
        positions::stale_after_asking,
    ),
    (
        "a stale follower serves",
        "R6 timely",
        ensemble::stale_follower,
    ),
    (
        "a stale follower answers pings",
        "R6 timely",
        positions::stale_ping,
    ),
    (
        "a server stays behind",
        "L2 convergence",
        ensemble::stays_behind,
    ),
    (
        "a server gets stuck",
        "L2 convergence",
        ensemble::gets_stuck,
    ),
    (
        "the leader changes without a reason",
        "L3 steady leader",
        ensemble::flaps,
    ),
    (
        "the leader is elected again without a reason",
        "L3 steady leader",
        ensemble::elected_again,
    ),
];
