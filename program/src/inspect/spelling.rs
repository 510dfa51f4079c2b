//! How the values of the storage are written, for people and as JSON.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use althing_core::ids::{ServerId, Zxid};
use althing_core::membership::Membership;
use althing_core::quorum::log::Record;
use althing_core::store::roster::Decision;
use althing_core::store::txn::{Action, Entry};
use althing_core::time::WallTime;
use althing_core::tree::acl::Acl;
use althing_core::tree::data::Data;
use althing_core::tree::op::{ANY_VERSION, Op};
use althing_core::tree::stat::Stat;
use althing_core::voters::Voters;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::inspect::arguments::Showing;

/// How much of the data is shown where it is shown in short.
const SHORT_BYTES: usize = 64;

/// A position as ZooKeeper's tools write it.
pub fn hex(zxid: Zxid) -> String {
    format!("{:#x}", zxid.0)
}

/// A time, in UTC.
pub fn time(wall: WallTime) -> String {
    let since = u64::try_from(wall.0).ok().map(Duration::from_millis);
    match since.and_then(|since| UNIX_EPOCH.checked_add(since)) {
        Some(time) => humantime::format_rfc3339_millis(time).to_string(),
        None => format!("{} ms", wall.0),
    }
}

/// A record of the log.
pub fn record(record: &Record, showing: Showing) -> String {
    match record {
        Record::Ballot(ballot) => {
            let voted = ballot
                .voted_for
                .map_or("nobody".to_owned(), |server| format!("server {server}"));
            let (epoch, standing) = (ballot.epoch, ballot.standing);
            format!("ballot: epoch {epoch:?}, voted for {voted}, {standing:?}")
        }
        Record::Cut(after) => format!("cut: what stands after {after} is taken back"),
        Record::Entry(entry) => self::entry(entry, showing),
    }
}

/// An entry of the log.
pub fn entry(entry: &Entry, showing: Showing) -> String {
    let txn = &entry.txn;
    let origin = txn.origin.map_or("servers".to_owned(), |origin| {
        format!("session {} write {}", origin.session, origin.sequence)
    });
    let (zxid, wall) = (entry.zxid, time(txn.wall));
    format!("{zxid} {wall} {origin}: {}", action(&txn.action, showing))
}

fn action(action: &Action, showing: Showing) -> String {
    match action {
        Action::OpenEpoch {
            leader,
            settings,
            membership,
        } => {
            let (level, members) = (settings.feature_level, members(membership));
            format!("open epoch: leader {leader}, feature level {level}, {members}")
        }
        Action::Reconfigure { membership } => format!("reconfigure: {}", members(membership)),
        Action::Amend { wish, decision } => {
            let decision = match decision {
                Decision::Granted(membership) => members(membership),
                Decision::Refused(code) => format!("refused, {}", code.name()),
                Decision::Open => "undecided".to_owned(),
            };
            format!("reconfigure as wished: {decision}; {wish:?}")
        }
        Action::OpenSession { timeout_ms, .. } => format!("open session: {timeout_ms} ms"),
        Action::Attach {
            session,
            timeout_ms,
            ..
        } => format!("attach to session {session}: {timeout_ms} ms"),
        Action::Upgrade { timeout_ms, .. } => format!("take over its session: {timeout_ms} ms"),
        Action::CloseSession { session, ending } => format!("close session {session}: {ending:?}"),
        Action::Reap { paths } => format!("reap what is over of {paths:?}"),
        Action::Restore(part) => {
            let ops: Vec<String> = part.ops.iter().map(|op| self::op(op, showing)).collect();
            let counts = part.counts.iter();
            let counts: Vec<String> = counts
                .map(|(path, creations)| format!("{path} has created {creations}"))
                .collect();
            let all = [ops, counts].concat();
            format!("restore {}: {}", all.len(), all.join("; "))
        }
        Action::Write(op) => self::op(op, showing),
        Action::Multi(ops) => {
            let ops: Vec<String> = ops.iter().map(|op| self::op(op, showing)).collect();
            format!("multi of {}: {}", ops.len(), ops.join("; "))
        }
    }
}

fn op(op: &Op, showing: Showing) -> String {
    match op {
        Op::Create(create) => {
            let (place, shown) = (create.place.to_text(), data(create.data.as_ref(), showing));
            let (lifetime, naming) = (create.lifetime, create.naming);
            let acl = acl(&create.acl);
            format!("create {place} {lifetime:?} {naming:?}, {shown}, acl {acl}")
        }
        Op::Delete { path, version } => format!("delete {path}{}", at(*version)),
        Op::SetData {
            path,
            data: set,
            version,
        } => format!(
            "set {path}{}, {}",
            at(*version),
            data(set.as_ref(), showing)
        ),
        Op::SetAcl {
            path,
            acl: set,
            version,
        } => format!("setAcl {path}{}, acl {}", at(*version), acl(set)),
        Op::Check { path, version } => format!("check {path}{}", at(*version)),
    }
}

fn at(version: i32) -> String {
    match version {
        ANY_VERSION => String::new(),
        version => format!(" at version {version}"),
    }
}

/// A znode's data.
pub fn data(data: Option<&Data>, showing: Showing) -> String {
    let Some(data) = data else {
        return "no data".to_owned();
    };
    let shown = match showing {
        Showing::None => return format!("{} bytes", data.len()),
        Showing::Short => &data[..data.len().min(SHORT_BYTES)],
        Showing::Full => data,
    };
    let more = match shown.len() < data.len() {
        true => "...",
        false => "",
    };
    format!("{} bytes \"{}\"{more}", data.len(), shown.escape_ascii())
}

/// An access control list.
pub fn acl(acl: &Acl) -> String {
    let entries: Vec<String> = acl
        .0
        .iter()
        .map(|entry| format!("{}:{}:{:?}", entry.who.scheme, entry.who.id, entry.perms))
        .collect();
    entries.join(",")
}

/// Who belongs to the ensemble.
pub fn members(membership: &Membership) -> String {
    let list = |servers: &mut dyn Iterator<Item = &ServerId>| {
        let ids: Vec<String> = servers.map(ToString::to_string).collect();
        match ids.is_empty() {
            true => "nobody".to_owned(),
            false => ids.join(" "),
        }
    };
    let voters = match membership.voters.is_empty() {
        true => "nobody".to_owned(),
        false => membership.voters.to_string(),
    };
    let learners = list(&mut membership.learners.iter());
    let incoming = membership.incoming.as_ref();
    let incoming = incoming.map_or(String::new(), |ids| format!(", incoming voters {ids}"));
    format!("voters {voters}{incoming}, learners {learners}")
}

/// A record of the log, as JSON.
pub fn record_json(file: &str, offset: u64, record: &Record, showing: Showing) -> Value {
    let what = match record {
        Record::Ballot(ballot) => json!({
            "kind": "ballot",
            "epoch": ballot.epoch.0,
            "voted_for": ballot.voted_for.map(|server| server.0),
            "standing": format!("{:?}", ballot.standing),
        }),
        Record::Cut(after) => json!({ "kind": "cut", "after": hex(*after) }),
        Record::Entry(entry) => entry_json(entry, showing),
    };
    with(what, json!({ "file": file, "offset": offset }))
}

/// An entry, as JSON.
pub fn entry_json(entry: &Entry, showing: Showing) -> Value {
    let txn = &entry.txn;
    let identities: Vec<String> = txn
        .identities
        .iter()
        .map(|who| format!("{}:{}", who.scheme, who.id))
        .collect();
    json!({
        "kind": "entry",
        "zxid": hex(entry.zxid),
        "wall_ms": txn.wall.0,
        "session": txn.origin.map(|origin| origin.session.to_string()),
        "sequence": txn.origin.map(|origin| origin.sequence),
        "identities": identities,
        "action": action_json(&txn.action, showing),
    })
}

fn action_json(action: &Action, showing: Showing) -> Value {
    match action {
        Action::OpenEpoch {
            leader,
            settings,
            membership,
        } => json!({
            "name": "open_epoch",
            "leader": leader.0,
            "feature_level": settings.feature_level,
            "members": members_json(membership),
        }),
        Action::Reconfigure { membership } => json!({
            "name": "reconfigure", "members": members_json(membership),
        }),
        Action::Amend { wish, decision } => {
            let (members, refused) = match decision {
                Decision::Granted(membership) => (members_json(membership), None),
                Decision::Refused(code) => (Value::Null, Some(code.name())),
                Decision::Open => (Value::Null, None),
            };
            json!({
                "name": "reconfigure_as_wished",
                "members": members,
                "refused": refused,
                "joining": wish.joining.as_deref(),
                "leaving": wish.leaving.as_deref(),
                "new_members": wish.members.as_deref(),
                "version": wish.version,
            })
        }
        Action::OpenSession { timeout_ms, .. } => json!({
            "name": "open_session", "timeout_ms": timeout_ms,
        }),
        Action::Attach {
            session,
            timeout_ms,
            ..
        } => json!({
            "name": "attach", "session": session.to_string(), "timeout_ms": timeout_ms,
        }),
        Action::Upgrade { timeout_ms, .. } => json!({
            "name": "upgrade", "timeout_ms": timeout_ms,
        }),
        Action::CloseSession { session, ending } => json!({
            "name": "close_session",
            "session": session.to_string(),
            "ending": format!("{ending:?}"),
        }),
        Action::Reap { paths } => {
            let paths: Vec<&str> = paths.iter().map(|path| path.as_str()).collect();
            json!({ "name": "reap", "paths": paths })
        }
        Action::Restore(part) => {
            let ops: Vec<Value> = part.ops.iter().map(|op| op_json(op, showing)).collect();
            let counts = part.counts.iter();
            let counts: Vec<Value> = counts
                .map(|(path, creations)| json!({ "path": path.as_str(), "creations": creations }))
                .collect();
            json!({ "name": "restore", "ops": ops, "counts": counts })
        }
        Action::Write(op) => op_json(op, showing),
        Action::Multi(ops) => {
            let ops: Vec<Value> = ops.iter().map(|op| op_json(op, showing)).collect();
            json!({ "name": "multi", "ops": ops })
        }
    }
}

fn op_json(op: &Op, showing: Showing) -> Value {
    match op {
        Op::Create(create) => json!({
            "name": "create",
            "path": create.place.to_text(),
            "lifetime": format!("{:?}", create.lifetime),
            "naming": format!("{:?}", create.naming),
            "data": data_json(create.data.as_ref(), showing),
            "acl": acl_json(&create.acl),
        }),
        Op::Delete { path, version } => json!({
            "name": "delete", "path": path.as_str(), "version": version,
        }),
        Op::SetData {
            path,
            data,
            version,
        } => json!({
            "name": "set",
            "path": path.as_str(),
            "version": version,
            "data": data_json(data.as_ref(), showing),
        }),
        Op::SetAcl { path, acl, version } => json!({
            "name": "setAcl",
            "path": path.as_str(),
            "version": version,
            "acl": acl_json(acl),
        }),
        Op::Check { path, version } => json!({
            "name": "check", "path": path.as_str(), "version": version,
        }),
    }
}

/// Data as JSON: its length, and in base64 as much as is wanted of it.
pub fn data_json(data: Option<&Data>, showing: Showing) -> Value {
    let Some(data) = data else {
        return Value::Null;
    };
    let shown = match showing {
        Showing::None => return json!({ "bytes": data.len() }),
        Showing::Short => &data[..data.len().min(SHORT_BYTES)],
        Showing::Full => data,
    };
    json!({
        "bytes": data.len(),
        "base64": BASE64_STANDARD.encode(shown),
        "complete": shown.len() == data.len(),
    })
}

/// An access control list, as JSON.
pub fn acl_json(acl: &Acl) -> Value {
    let entries = acl.0.iter().map(|entry| {
        json!({
            "scheme": entry.who.scheme.as_ref(),
            "id": entry.who.id.as_ref(),
            "perms": format!("{:?}", entry.perms),
        })
    });
    Value::Array(entries.collect())
}

/// Who belongs to the ensemble, as JSON.
pub fn members_json(membership: &Membership) -> Value {
    let ids = |servers: &mut dyn Iterator<Item = &ServerId>| -> Vec<u8> {
        servers.map(|server| server.0).collect()
    };
    let mut told = json!({
        "voters": ids(&mut membership.voters.iter()),
        "incoming": membership.incoming.as_ref().map(|servers| ids(&mut servers.iter())),
        "learners": ids(&mut membership.learners.iter()),
    });
    let in_groups = [
        ("groups", Some(&membership.voters)),
        ("incoming_groups", membership.incoming.as_ref()),
    ];
    for (key, voters) in in_groups {
        if let Some(voters) = voters.filter(|voters| !voters.shares().is_empty()) {
            told[key] = groups_json(voters);
        }
    }
    told
}

/// By group, the weight of each server.
fn groups_json(voters: &Voters) -> Value {
    let mut groups: BTreeMap<u32, BTreeMap<u8, u32>> = BTreeMap::new();
    for (server, share) in voters.shares() {
        groups
            .entry(share.group)
            .or_default()
            .insert(server.0, share.weight);
    }
    json!(groups)
}

/// A Stat, as JSON with ZooKeeper's names.
pub fn stat_json(stat: &Stat) -> Value {
    json!({
        "czxid": hex(stat.czxid),
        "mzxid": hex(stat.mzxid),
        "ctime": stat.ctime.0,
        "mtime": stat.mtime.0,
        "version": stat.version,
        "cversion": stat.cversion,
        "aversion": stat.aversion,
        "ephemeralOwner": format!("{:#x}", stat.ephemeral_owner),
        "dataLength": stat.data_length,
        "numChildren": stat.num_children,
        "pzxid": hex(stat.pzxid),
    })
}

/// `first` with the fields of `more`; both are objects.
pub fn with(mut first: Value, more: Value) -> Value {
    if let (Value::Object(first), Value::Object(more)) = (&mut first, more) {
        first.extend(more);
    }
    first
}
