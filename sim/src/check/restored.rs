//! What operators are told of snapshots that were restored: O1.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use althing_core::ids::{ServerId, Zxid};
use althing_core::store::txn::Action;

use crate::check::findings::Findings;
use crate::check::log::Log;
use crate::history::{History, Moment, What};
use crate::plan::Plan;
use crate::reference::reference::Reference;
use crate::reference::tree::{Lasting, RefTree};

const RESTORED: &str = "O1 restored";

/// One snapshot that an operator was told is restored.
struct Told<'a> {
    moment: &'a Moment,
    server: ServerId,
    from: Zxid,
    at: Zxid,
    asked: Duration,
}

/// Checks what was told, by an own replay of `L`, and that nothing else was restored.
pub fn check(plan: &Plan, history: &History, log: &Log, findings: &mut Findings) {
    if !plan.restores() {
        unasked(log, findings);
    }
    let told: Vec<Told<'_>> = history.moments.iter().filter_map(told).collect();
    if told.is_empty() {
        return;
    }
    let wanted: BTreeSet<Zxid> = told.iter().flat_map(|told| [told.from, told.at]).collect();
    let mut states = BTreeMap::new();
    let mut state = Reference::new();
    if wanted.contains(&Zxid::ZERO) {
        states.insert(Zxid::ZERO, state.tree.clone());
    }
    for agreed in &log.agreed {
        state.apply(agreed.zxid, &agreed.txn);
        if wanted.contains(&agreed.zxid) {
            states.insert(agreed.zxid, state.tree.clone());
        }
    }
    for told in &told {
        let why = older(log, told).or_else(|| wrong(states.get(&told.from), states.get(&told.at)));
        if let Some(why) = why {
            let at = told.moment.at;
            findings.add(RESTORED, at, None, || {
                let Told {
                    server, from, at, ..
                } = told;
                format!("server {server} has told that {from} is restored at {at}: {why}")
            });
        }
    }
}

fn told(moment: &Moment) -> Option<Told<'_>> {
    match moment.what {
        What::SetBack {
            server,
            from,
            at,
            asked,
        } => Some(Told {
            moment,
            server,
            from,
            at,
            asked,
        }),
        _ => None,
    }
}

fn unasked(log: &Log, findings: &mut Findings) {
    let restores = |action: &Action| matches!(action, Action::Restore(_));
    for agreed in log
        .agreed
        .iter()
        .filter(|agreed| restores(&agreed.txn.action))
    {
        findings.add(RESTORED, agreed.executed_at, None, || {
            format!("{} restores a snapshot, and nobody wanted it", agreed.zxid)
        });
    }
}

/// What was known to be agreed before it was asked for, if what is told is older.
fn older(log: &Log, told: &Told<'_>) -> Option<String> {
    let mut before = log.agreed.iter().rev();
    let known = before.find(|agreed| agreed.executed_at < told.asked)?;
    let (known, asked) = (known.zxid, told.asked);
    (known > told.at).then(|| format!("it was asked for at {asked:?}, after {known}"))
}

/// What differs from the snapshot, if something does.
fn wrong(snapshot: Option<&RefTree>, now: Option<&RefTree>) -> Option<String> {
    let (Some(snapshot), Some(now)) = (snapshot, now) else {
        return Some("nothing was ever agreed there".to_owned());
    };
    let (wanted, found) = (snapshot.lasting(), now.lasting());
    for (path, wanted) in &wanted {
        match found.get(path) {
            None => return Some(format!("{path} is missing")),
            Some(found) if !is_same(wanted, found) => {
                return Some(format!("{path} is {found:?} and was {wanted:?}"));
            }
            Some(_) => {}
        }
    }
    let owned: Vec<String> = now
        .owners()
        .flat_map(|owner| now.owned(owner))
        .map(|path| path.to_string())
        .collect();
    let is_needed = |path: &str| {
        let below = format!("{path}/");
        owned.iter().any(|owned| owned.starts_with(&below))
    };
    let too_much = found
        .keys()
        .find(|path| !wanted.contains_key(*path) && !is_needed(path));
    too_much.map(|path| format!("{path} is still there"))
}

/// Numbers that were given meanwhile are not given again.
fn is_same(wanted: &Lasting, found: &Lasting) -> bool {
    let Lasting {
        data,
        acl,
        goes,
        creations,
    } = found;
    let is_so = (data, acl, goes) == (&wanted.data, &wanted.acl, &wanted.goes);
    is_so && *creations >= wanted.creations
}

#[cfg(test)]
mod tests {
    use althing_core::tree::acl::Acl;

    use super::*;
    use crate::reference::tree::Goes;

    #[test]
    fn numbers_may_have_gone_on_and_nothing_else() {
        let wanted = Lasting {
            data: None,
            acl: Acl::open(),
            goes: Goes::Never,
            creations: 3,
        };
        let later = Lasting {
            creations: 7,
            ..wanted.clone()
        };
        assert!(is_same(&wanted, &later));
        assert!(!is_same(&later, &wanted));
        let other = Lasting {
            goes: Goes::AfterChildren,
            ..wanted.clone()
        };
        assert!(!is_same(&wanted, &other));
        assert!(!is_same(
            &wanted,
            &Lasting {
                data: Some(b"x".as_slice().into()),
                ..wanted.clone()
            }
        ));
    }
}
