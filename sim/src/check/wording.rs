//! What verdicts say of answers, transactions and identities: short, for people, and of two that
//! should be the same only what differs.

use std::collections::BTreeSet;

use althing_core::code::Code;
use althing_core::node::reply::{Response, WatchEvent};
use althing_core::quorum::log::Ballot;
use althing_core::store::roster::Decision;
use althing_core::store::txn::{Action, Txn};
use althing_core::tree::acl::Identity;
use althing_core::tree::op::Done;
use althing_core::tree::stat::Stat;

use crate::telling::{answer, clipped, operation};

/// Differences of one answer that are told; the others are counted.
const TOLD_MAX: usize = 4;
/// Characters of one side of a difference.
const SIDE_CHARS_MAX: usize = 120;

/// How the answer that was due and the one that came differ.
pub fn difference(expected: &Result<Response, Code>, got: &Result<Response, Code>) -> String {
    let fields = match (expected, got) {
        (Ok(expected), Ok(got)) => fields(expected, got),
        _ => Vec::new(),
    };
    let Some(more) = fields.len().checked_sub(TOLD_MAX) else {
        return match fields.is_empty() {
            true => sides("the answer", &answer(expected), &answer(got)),
            false => fields.join("; "),
        };
    };
    match more {
        0 => fields.join("; "),
        _ => format!("{}; and {more} more", fields[..TOLD_MAX].join("; ")),
    }
}

fn sides(what: &str, expected: &str, got: &str) -> String {
    let expected = clipped(expected, SIDE_CHARS_MAX);
    let got = clipped(got, SIDE_CHARS_MAX);
    format!("{what}: expected {expected}, got {got}")
}

/// What differs, part by part; nothing if two answers have other parts.
fn fields(expected: &Response, got: &Response) -> Vec<String> {
    match (expected, got) {
        (Response::Exists(a), Response::Exists(b)) => of_stats(a, b),
        (
            Response::Data {
                data: a,
                stat: of_a,
            },
            Response::Data {
                data: b,
                stat: of_b,
            },
        ) => {
            let mut fields = Vec::new();
            if a != b {
                // With what is told of the data, and nothing else.
                let told = |data: &_| {
                    let (data, stat) = (Option::clone(data), Stat::default());
                    let told = answer(&Ok(Response::Data { data, stat }));
                    told.trim_end_matches(" version 0").to_owned()
                };
                fields.push(sides("data", &told(a), &told(b)));
            }
            fields.extend(of_stats(of_a, of_b));
            fields
        }
        (Response::Acl { acl: a, stat: of_a }, Response::Acl { acl: b, stat: of_b }) => {
            let mut fields = Vec::new();
            if a != b {
                let told = |acl: &althing_core::tree::acl::Acl| {
                    let lines = acl.0.iter();
                    let lines = lines.map(|line| format!("{:?} {}", line.perms, name(&line.who)));
                    lines.collect::<Vec<_>>().join(", ")
                };
                fields.push(sides("the list", &told(a), &told(b)));
            }
            fields.extend(of_stats(of_a, of_b));
            fields
        }
        (
            Response::Children {
                names: a,
                stat: of_a,
            },
            Response::Children {
                names: b,
                stat: of_b,
            },
        ) => {
            let mut fields = of_names(a, b);
            if let (Some(a), Some(b)) = (of_a, of_b) {
                fields.extend(of_stats(a, b));
            }
            fields
        }
        (Response::Done(a), Response::Done(b)) => of_done(a, b),
        (Response::AllDone(a), Response::AllDone(b)) if a.len() == b.len() => {
            let pairs = a.iter().zip(b).enumerate();
            let told = pairs.flat_map(|(at, (a, b))| {
                let fields = of_done(a, b).into_iter();
                fields.map(move |field| format!("operation {at}, {field}"))
            });
            told.collect()
        }
        _ => Vec::new(),
    }
}

fn of_done(expected: &Done, got: &Done) -> Vec<String> {
    match (expected, got) {
        (
            Done::Created {
                path: a,
                stat: of_a,
                ..
            },
            Done::Created {
                path: b,
                stat: of_b,
                ..
            },
        ) => {
            let mut fields = Vec::new();
            if a != b {
                fields.push(sides("path", a.as_str(), b.as_str()));
            }
            // A plain create tells no Stat.
            if *of_b != Stat::default() {
                fields.extend(of_stats(of_a, of_b));
            }
            fields
        }
        (Done::DataSet(a), Done::DataSet(b)) | (Done::AclSet(a), Done::AclSet(b)) => of_stats(a, b),
        (a, b) if a == b => Vec::new(),
        (a, b) => {
            let told = |done: &Done| answer(&Ok(Response::Done(done.clone())));
            Vec::from([sides("the outcome", &told(a), &told(b))])
        }
    }
}

fn of_names(expected: &[std::sync::Arc<str>], got: &[std::sync::Arc<str>]) -> Vec<String> {
    let (due, came): (BTreeSet<_>, BTreeSet<_>) = (expected.iter().collect(), got.iter().collect());
    let told = |names: Vec<&&std::sync::Arc<str>>| {
        let names: Vec<&str> = names.iter().map(|name| &****name).collect();
        clipped(&names.join(", "), SIDE_CHARS_MAX).into_owned()
    };
    let mut fields = Vec::new();
    for (what, names) in [
        ("missing", due.difference(&came).collect::<Vec<_>>()),
        ("not there", came.difference(&due).collect()),
    ] {
        if !names.is_empty() {
            fields.push(format!("children: {what}: {}", told(names)));
        }
    }
    if fields.is_empty() && expected.len() != got.len() {
        let (expected, got) = (expected.len().to_string(), got.len().to_string());
        fields.push(sides("number of children", &expected, &got));
    }
    fields
}

/// The fields of a Stat that differ, by ZooKeeper's names.
fn of_stats(expected: &Stat, got: &Stat) -> Vec<String> {
    let fields = |stat: &Stat| {
        [
            ("czxid", stat.czxid.to_string()),
            ("mzxid", stat.mzxid.to_string()),
            ("ctime", stat.ctime.0.to_string()),
            ("mtime", stat.mtime.0.to_string()),
            ("version", stat.version.to_string()),
            ("cversion", stat.cversion.to_string()),
            ("aversion", stat.aversion.to_string()),
            ("ephemeralOwner", format!("{:#x}", stat.ephemeral_owner)),
            ("dataLength", stat.data_length.to_string()),
            ("numChildren", stat.num_children.to_string()),
            ("pzxid", stat.pzxid.to_string()),
        ]
    };
    let pairs = fields(expected).into_iter().zip(fields(got));
    pairs
        .filter(|(expected, got)| expected != got)
        .map(|((name, expected), (_, got))| sides(name, &expected, &got))
        .collect()
}

/// Identities, as access control lists write them.
pub fn identities<'a>(all: impl IntoIterator<Item = &'a Identity>) -> String {
    let names: Vec<String> = all.into_iter().map(name).collect();
    match names.is_empty() {
        true => "nobody".to_owned(),
        false => names.join(" and "),
    }
}

fn name(who: &Identity) -> String {
    format!("{}:{}", who.scheme, who.id)
}

/// What a watch tells.
pub fn event(event: &WatchEvent) -> String {
    format!("{:?} {} of {}", event.kind, event.path, event.zxid)
}

/// What a transaction does, shortly.
pub fn action(action: &Action) -> String {
    let text = match action {
        Action::OpenEpoch { leader, .. } => format!("the epoch of server {leader}"),
        Action::Amend { decision, .. } => match decision {
            Decision::Granted(_) => "a change of the members, as wished".to_owned(),
            Decision::Refused(code) => format!("a wish for other members, {}", code.name()),
            Decision::Open => "a wish for other members".to_owned(),
        },
        Action::Reconfigure { .. } => "a change of the members".to_owned(),
        Action::OpenSession { timeout_ms, .. } => format!("a session of {timeout_ms} ms"),
        Action::Attach {
            session,
            timeout_ms,
            ..
        } => format!("an attachment to session {session}, {timeout_ms} ms"),
        Action::Upgrade { timeout_ms, .. } => format!("a session taken over, {timeout_ms} ms"),
        Action::CloseSession { session, ending } => {
            format!("the end of session {session}, {ending:?}").to_lowercase()
        }
        Action::Reap { paths } => format!("the end of {paths:?}, if their time is over"),
        Action::Restore(part) => {
            let ops: Vec<String> = part.ops.iter().map(operation).collect();
            let count = part.counts.len();
            format!("restoring [{}] and {count} counts", ops.join(", "))
        }
        Action::Write(op) => operation(op),
        Action::Multi(ops) => {
            let ops: Vec<String> = ops.iter().map(operation).collect();
            format!("multi [{}]", ops.join(", "))
        }
    };
    clipped(&text, SIDE_CHARS_MAX).into_owned()
}

/// Two transactions at one position: what they do, or what else of them differs.
pub fn transactions(one: &Txn, other: &Txn) -> String {
    let what = action(&one.action);
    if one.action != other.action {
        let theirs = action(&other.action);
        return match what == theirs {
            true => format!("{what}, and another with other data"),
            false => format!("{what}, and {theirs}"),
        };
    }
    let mut parts = Vec::new();
    if one.wall != other.wall {
        parts.push(format!("at {} ms and {} ms", one.wall.0, other.wall.0));
    }
    if one.origin != other.origin {
        let origin = |txn: &Txn| match txn.origin {
            Some(origin) => format!("write {} of {}", origin.sequence, origin.session),
            None => "of no session".to_owned(),
        };
        parts.push(format!("{} and {}", origin(one), origin(other)));
    }
    if one.identities != other.identities {
        let who = |txn: &Txn| identities(&*txn.identities);
        parts.push(format!("by {} and by {}", who(one), who(other)));
    }
    format!("{what}, {}", parts.join(", "))
}

/// A ballot.
pub fn ballot(ballot: &Ballot) -> String {
    match ballot.voted_for {
        Some(server) => format!("epoch {} with a vote for server {server}", ballot.epoch),
        None => format!("epoch {} without a vote", ballot.epoch),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use althing_core::ids::Zxid;
    use althing_core::tree::data::Data;

    use super::*;

    #[test]
    fn of_stats_only_what_differs_is_told() {
        let due = Stat {
            version: 3,
            pzxid: Zxid(0x1_0000_0007),
            ..Stat::default()
        };
        let came = Stat {
            version: 4,
            pzxid: Zxid(0x1_0000_0008),
            ..due
        };
        assert_eq!(
            difference(&Ok(Response::Exists(due)), &Ok(Response::Exists(came))),
            "version: expected 3, got 4; pzxid: expected 1.7, got 1.8"
        );
        let all = Stat {
            czxid: Zxid(1),
            mzxid: Zxid(1),
            cversion: 1,
            aversion: 1,
            num_children: 1,
            ..due
        };
        let told = difference(&Ok(Response::Exists(due)), &Ok(Response::Exists(all)));
        assert!(told.ends_with("; and 1 more"), "{told}");
    }

    #[test]
    fn what_has_other_parts_is_told_whole_and_shortly() {
        let stat = Stat::default();
        let data = |text: &str| Some(Data::from(text));
        let due = Ok(Response::Data {
            data: data("a"),
            stat,
        });
        assert_eq!(
            difference(&due, &Err(Code::NoNode)),
            "the answer: expected \"a\" version 0, got NoNode"
        );
        let long = Ok(Response::Data {
            data: data(&"b".repeat(10_000)),
            stat,
        });
        let told = difference(&due, &long);
        assert!(
            told.starts_with("data: expected \"a\", got \"bbb") && told.len() < 300,
            "{told}"
        );
        let names = |names: &[&str]| {
            let names = names.iter().map(|name| Arc::from(*name)).collect();
            Ok(Response::Children { names, stat: None })
        };
        assert_eq!(
            difference(&names(&["a", "b"]), &names(&["b", "c"])),
            "children: missing: a; children: not there: c"
        );
        assert_eq!(
            difference(&names(&["a"]), &names(&["a", "a"])),
            "number of children: expected 1, got 2"
        );
    }
}
