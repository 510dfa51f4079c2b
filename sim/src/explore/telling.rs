//! What servers do and say, in words.

use althing_core::ids::ServerId;
use althing_core::membership::Membership;
use althing_core::node::effect::Effect;
use althing_core::node::event::Event;
use althing_core::node::reply::{Reply, Response};
use althing_core::quorum::log::{Record, Standing};
use althing_core::quorum::message::{Ballotting, Cause, Extent, Message, Vote};
use althing_core::store::txn::{Action, Entry, Txn};
use althing_core::tree::op::{Done, Op};

/// What a server wants done, as one line; nothing for what only counts.
pub fn effect(who: ServerId, effect: &Effect) -> String {
    let text = match effect {
        Effect::Reply { connection, reply } => format!("tells {connection}: {}", reply_text(reply)),
        Effect::Close { connection } => format!("closes {connection}"),
        Effect::Save { record, .. } => format!("saves {}", record_text(record)),
        Effect::MakeSnapshot { store } => format!("makes a snapshot at {}", store.applied()),
        Effect::Send { to, message } => format!("to {to}: {}", self::message(message)),
        Effect::ReadChunk { to, zxid, offset } => {
            format!("reads the snapshot at {zxid} from {offset} on, for {to}")
        }
        Effect::TakeChunk {
            zxid,
            offset,
            extent,
            ..
        } => format!(
            "stores the snapshot at {zxid} from {offset} on{}",
            last(*extent)
        ),
        Effect::Note(event) => match event {
            Event::Executed { zxid, .. } => format!("executed {zxid}"),
            Event::Touched { .. } | Event::WatchLeft { .. } | Event::WatchFired { .. } => {
                return String::new();
            }
            event => format!("note: {}", event_text(event)),
        },
    };
    format!("{who} {text}")
}

fn last(extent: Extent) -> &'static str {
    match extent {
        Extent::More => "",
        Extent::Last => ", the last piece",
    }
}

fn event_text(event: &Event) -> String {
    match event {
        Event::Reconfigured { zxid, membership } => {
            format!("reconfigured at {zxid}: {}", members(membership))
        }
        Event::LogCut { after, count } => format!("log-cut after {after}, {count} gone"),
        Event::HandedOver { epoch, to } => format!("handed-over epoch {epoch} to {to}"),
        Event::Reforwarded { count } => format!("reforwarded {count}"),
        Event::TransferBegun { to, zxid, offset } => {
            format!("transfer-begun to {to}: the snapshot at {zxid} from {offset} on")
        }
        Event::Campaigned { epoch }
        | Event::Canvassed { epoch }
        | Event::Deposed { epoch }
        | Event::EpochOpened { epoch } => format!("{} {epoch}", event.name()),
        Event::Elected { epoch, leader } | Event::Followed { epoch, leader } => {
            format!("{} {leader} in {epoch}", event.name())
        }
        other => other.name().to_owned(),
    }
}

fn record_text(record: &Record) -> String {
    match record {
        Record::Ballot(ballot) => {
            let voted_for = ballot
                .voted_for
                .map_or("nobody".to_owned(), |server| server.to_string());
            let standing = match ballot.standing {
                Standing::Admitted => "",
                Standing::Stranger => ", a stranger",
            };
            format!("epoch {}, its vote for {voted_for}{standing}", ballot.epoch)
        }
        Record::Entry(entry) => entry_text(entry),
        Record::Cut(after) => format!("a cut after {after}"),
    }
}

fn entry_text(entry: &Entry) -> String {
    format!("{} {}", entry.zxid, txn_text(&entry.txn))
}

fn txn_text(txn: &Txn) -> String {
    match &txn.action {
        Action::OpenEpoch {
            leader, membership, ..
        } => format!("open-epoch by {leader} of {}", members(membership)),
        Action::Reconfigure { membership } => format!("reconfigure to {}", members(membership)),
        Action::Amend { decision, .. } => format!("reconfigure as wished: {decision:?}"),
        Action::Reap { paths } => format!("reap {paths:?}"),
        Action::Restore(part) => format!("restore {}", part.len()),
        Action::OpenSession { .. } => "open-session".to_owned(),
        Action::Attach { session, .. } => format!("attach {session}"),
        Action::Upgrade { .. } => "take over its session".to_owned(),
        Action::CloseSession { session, ending } => {
            format!("close-session {session} {ending:?}").to_lowercase()
        }
        Action::Write(op) => {
            let sequence = txn.origin.map_or(0, |origin| origin.sequence);
            let name = match op {
                Op::Create(_) => "create",
                Op::Delete { .. } => "delete",
                Op::SetData { .. } => "set",
                Op::SetAcl { .. } => "set-acl",
                Op::Check { .. } => "check",
            };
            format!("{name} #{sequence}")
        }
        Action::Multi(ops) => format!("multi of {}", ops.len()),
    }
}

/// Members, shortly: `{1 2 3}`, in groups `{1 2 / 3*0}`, while they change `{1 2 3 -> 2 3 4}`, with
/// learners `{1 + 2}`.
pub fn members(membership: &Membership) -> String {
    let mut text = membership.voters.to_string();
    if let Some(incoming) = &membership.incoming {
        text += &format!(" -> {incoming}");
    }
    if !membership.learners.is_empty() {
        let names = membership.learners.iter().map(ToString::to_string);
        text += &format!(" + {}", names.collect::<Vec<_>>().join(" "));
    }
    format!("{{{text}}}")
}

fn trial(ballotting: Ballotting) -> &'static str {
    match ballotting {
        Ballotting::Trial => "trial, ",
        Ballotting::Real => "",
    }
}

/// A message, shortly.
#[allow(
    clippy::too_many_lines,
    reason = "one arm for each kind, and no two share a thought"
)]
pub fn message(message: &Message) -> String {
    let name = message.name();
    let text = match message {
        Message::Greeting { epoch, last, .. } => format!("epoch {epoch}, log to {last}"),
        Message::VoteAsked {
            epoch,
            ballotting,
            cause,
            last,
            standing: _,
        } => {
            let trial = trial(*ballotting);
            let cause = match cause {
                Cause::Silence => "",
                Cause::Succession => ", in succession",
            };
            format!("{trial}epoch {epoch}, log to {last}{cause}")
        }
        Message::Voted {
            epoch,
            ballotting,
            vote,
            ..
        } => {
            let trial = trial(*ballotting);
            let vote = match vote {
                Vote::Given => "given",
                Vote::Denied => "denied",
            };
            format!("{trial}{vote}, epoch {epoch}")
        }
        Message::Append {
            epoch,
            previous,
            entries,
            committed,
            ..
        } => {
            let entries: Vec<String> = entries.iter().map(entry_text).collect();
            format!(
                "epoch {epoch}, after {previous} [{}], agreed to {committed}",
                entries.join(", ")
            )
        }
        Message::Appended { epoch, durable, .. } => format!("epoch {epoch}, saved to {durable}"),
        Message::Mismatched {
            epoch,
            previous,
            floor,
            ..
        } => format!("epoch {epoch}, no {previous}, floor {floor}"),
        Message::Beat {
            epoch,
            round,
            committed,
            ..
        } => format!("epoch {epoch}, round {round}, agreed to {committed}"),
        Message::Beaten {
            epoch,
            round,
            applied,
            ..
        } => format!("epoch {epoch}, round {round}, executed to {applied}"),
        Message::Chunk {
            epoch,
            zxid,
            offset,
            extent,
            ..
        } => format!("epoch {epoch}, {zxid} from {offset} on{}", last(*extent)),
        Message::ChunkTaken {
            epoch,
            zxid,
            offset,
            ..
        } => format!("epoch {epoch}, {zxid} up to {offset}"),
        Message::Forward { txns, .. } => {
            let txns: Vec<String> = txns.iter().map(|txn| txn_text(txn)).collect();
            format!("[{}]", txns.join(", "))
        }
        Message::BarrierAsked { number, .. } => format!("#{number}"),
        Message::BarrierSet { number, zxid, .. } => format!("#{number} at {zxid}"),
        Message::Succeed { epoch, .. } => format!("epoch {epoch}"),
    };
    format!("{name} ({text})")
}

fn reply_text(reply: &Reply) -> String {
    match reply {
        Reply::Connected(response) => match response.session {
            Some(session) => format!("session {session}"),
            None => "its session has expired".to_owned(),
        },
        Reply::Event(event) => format!("event {:?} {} at {}", event.kind, event.path, event.zxid),
        Reply::Answer { xid, zxid, result } => {
            let text = match result {
                Ok(Response::Done(Done::Created { path, .. })) => format!("created {path}"),
                Ok(Response::Data { stat, .. }) => format!("data, version {}", stat.version),
                Ok(Response::Synced { .. }) => "synced".to_owned(),
                Ok(_) => "done".to_owned(),
                Err(code) => code.to_string(),
            };
            format!("#{} @{zxid} {text}", xid.0)
        }
    }
}
