//! What went on backstage in words, as the page shows them.

use althing_core::node::input::Timer;
use althing_core::quorum::message::Message;
use althing_core::store::roster::Decision;
use althing_core::store::txn::{Action, Entry, Txn};
use althing_core::tree::path::Path;

use crate::backstage::{Astray, Deed, Link};
use crate::explore::telling;
use crate::telling::operation;

/// Entries of one message that are told in full.
const ENTRIES_TOLD_MAX: usize = 8;

/// A message, with the paths of what it carries.
pub fn message(message: &Message) -> String {
    match message {
        Message::Append {
            epoch,
            previous,
            entries,
            committed,
        } if !entries.is_empty() => {
            let told = listed(entries.iter().map(entry), entries.len());
            format!("append (epoch {epoch}, after {previous}: {told}; agreed to {committed})")
        }
        Message::Forward { txns } => {
            let told = listed(txns.iter().map(|txn| transaction(txn)), txns.len());
            format!("forward ({told})")
        }
        other => telling::message(other),
    }
}

fn listed(told: impl Iterator<Item = String>, count: usize) -> String {
    let mut told: Vec<String> = told.take(ENTRIES_TOLD_MAX).collect();
    if count > ENTRIES_TOLD_MAX {
        told.push(format!("and {} more", count - ENTRIES_TOLD_MAX));
    }
    told.join(", ")
}

fn entry(entry: &Entry) -> String {
    format!("{} {}", entry.zxid, transaction(&entry.txn))
}

/// A transaction, shortly.
pub fn transaction(txn: &Txn) -> String {
    match &txn.action {
        Action::OpenEpoch { leader, .. } => format!("open-epoch by server-{leader}"),
        Action::Reconfigure { membership } => {
            format!("reconfigure to {}", telling::members(membership))
        }
        Action::Amend { decision, .. } => match decision {
            Decision::Granted(members) => {
                format!("reconfigure as wished to {}", telling::members(members))
            }
            Decision::Refused(code) => format!("reconfigure, refused: {}", code.name()),
            Decision::Open => "reconfigure, undecided".to_owned(),
        },
        Action::Reap { paths } => format!(
            "reap [{}]",
            listed(
                paths.iter().map(|path: &Path| path.to_string()),
                paths.len()
            )
        ),
        Action::Restore(part) => {
            let ops = listed(part.ops.iter().map(operation), part.ops.len());
            format!("restore [{ops}] and {} counts", part.counts.len())
        }
        Action::OpenSession { .. } => "open-session".to_owned(),
        Action::Attach { session, .. } => format!("attach {session}"),
        Action::Upgrade { .. } => "take over its session".to_owned(),
        Action::CloseSession { session, .. } => format!("close-session {session}"),
        Action::Write(op) => operation(op),
        Action::Multi(ops) => format!("multi [{}]", listed(ops.iter().map(operation), ops.len())),
    }
}

/// What became of a message that did not simply come.
pub fn astray(fate: Astray) -> &'static str {
    match fate {
        Astray::Unsent => "never left: there was no link, or no room in it",
        Astray::Lost => "lost on its way",
        Astray::Doubled => "came twice",
        Astray::Late => "came late",
    }
}

/// Everything but messages, which have words of their own.
pub fn deed(deed: &Deed) -> String {
    match deed {
        Deed::Linked { to, link, .. } => match link {
            Link::Up => format!("has a link to server-{to}"),
            Link::Gone => format!("has no link to server-{to} any more"),
        },
        Deed::Rang { timer, .. } => format!("timer: {}", timer_name(*timer)),
        Deed::Voting { ballot, .. } => match ballot.voted_for {
            Some(candidate) => {
                let epoch = ballot.epoch;
                format!("saves its vote for server-{candidate} in epoch {epoch}")
            }
            None => format!("saves epoch {}", ballot.epoch),
        },
        Deed::Opened { connection, .. } => format!("takes the first frame of {connection}"),
        Deed::Asked {
            connection, xid, ..
        } => match xid.0 {
            ..=0 => format!("takes a frame of {connection}"),
            xid => format!("takes #{xid} of {connection}"),
        },
        Deed::Answered {
            connection,
            xid,
            zxid,
            ..
        } => match (xid.map(|xid| xid.0), zxid) {
            (Some(xid @ 1..), Some(zxid)) => format!("answers #{xid} of {connection} at {zxid}"),
            (None, Some(zxid)) => format!("tells {connection} of an event at {zxid}"),
            _ => format!("answers {connection}"),
        },
        Deed::Said { .. } | Deed::Heard { .. } | Deed::Strayed { .. } | Deed::Drained { .. } => {
            String::new()
        }
    }
}

fn timer_name(timer: Timer) -> String {
    match timer {
        Timer::Election => "nobody leads".to_owned(),
        Timer::Beat => "a heartbeat is due".to_owned(),
        Timer::Quorum => "does a quorum still answer?".to_owned(),
        Timer::Isolation => "no leader for long".to_owned(),
        Timer::ReadOnly => "no leader for so long that clients may read".to_owned(),
        Timer::Tick => "tick".to_owned(),
        Timer::Reap => "is anybody's time over?".to_owned(),
        Timer::Expiry(session) | Timer::Silence(session) => {
            format!("session {session} was silent for its whole time-out")
        }
    }
}
