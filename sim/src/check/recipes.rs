//! Locks, masterships and what fencing tokens guard: M1, M2 and M3.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use althing_core::ids::{SessionId, Zxid};
use althing_core::node::reply::EventKind;
use althing_core::store::txn::Action;

use crate::check::findings::Findings;
use crate::check::log::{Agreed, Log};
use crate::check::replay::Replayed;
use crate::history::{History, Hold, What};
use crate::plan::{FaultKind, Plan, Who};

/// One player's hold on a lock.
struct Held<'a> {
    client: &'a str,
    token: Zxid,
    /// It may hold longer than it has the right to: its process did not run, so it could not keep
    /// an eye on its time-out. A link that does not carry is no excuse: who hears nothing stops by
    /// its own clock.
    excused: bool,
}

/// Checks all recipes.
pub fn check(
    plan: &Plan,
    history: &History,
    log: &Log,
    replayed: &Replayed,
    findings: &mut Findings,
) {
    holds(plan, history, log, findings);
    undisturbed(history, log, replayed, findings);
    fencing(history, findings);
}

fn holds(plan: &Plan, history: &History, log: &Log, findings: &mut Findings) {
    let mut holders: BTreeMap<&str, Vec<Held<'_>>> = BTreeMap::new();
    let mut tokens: BTreeMap<(&str, Zxid), &str> = BTreeMap::new();
    let mut active: BTreeMap<usize, &FaultKind> = BTreeMap::new();
    let names: BTreeSet<&str> = history
        .moments
        .iter()
        .filter_map(|moment| match &moment.what {
            What::LinkOpened { client, .. } | What::Held { client, .. } => Some(&**client),
            _ => None,
        })
        .collect();
    for moment in &history.moments {
        let at = moment.at;
        match &moment.what {
            What::Struck { index, .. } => {
                let Some(fault) = plan.faults.get(*index) else {
                    continue;
                };
                active.insert(*index, &fault.what);
                for held in holders.values_mut().flatten() {
                    held.excused |= excuses(&fault.what, held.client, &names);
                }
            }
            What::Healed { index, .. } => {
                active.remove(index);
            }
            What::SecondAct => active.clear(),
            What::Held {
                client,
                lock,
                token,
                hold: Hold::Begins,
            } => {
                let excused = active.values().any(|fault| excuses(fault, client, &names));
                let of_lock = holders.entry(lock).or_default();
                begins(at, client, lock, *token, of_lock, findings);
                let before = tokens.insert((lock, *token), client);
                if let Some(before) = before.filter(|before| *before != &**client) {
                    findings.add("M3 election", at, None, || {
                        format!("{client} holds {lock} with token {token}, as {before} did")
                    });
                }
                if log.at(*token).is_none() {
                    findings.add("M3 election", at, None, || {
                        format!("{client} holds {lock} with token {token}, which nothing created")
                    });
                }
                of_lock.push(Held {
                    client,
                    token: *token,
                    excused,
                });
            }
            What::Held {
                client,
                lock,
                token,
                hold: Hold::Ends,
            } => {
                let of_lock = holders.entry(lock).or_default();
                of_lock.retain(|held| held.client != &**client || held.token != *token);
            }
            _ => {}
        }
    }
}

/// Nobody else who honours its time-out holds the lock when a hold begins.
fn begins(
    at: Duration,
    client: &str,
    lock: &str,
    token: Zxid,
    of_lock: &[Held<'_>],
    findings: &mut Findings,
) {
    for other in of_lock.iter().filter(|held| held.client != client) {
        if !other.excused {
            findings.add("M1 mutex", at, None, || {
                let (name, theirs) = (other.client, other.token);
                format!("{client} holds {lock} ({token}) while {name} does ({theirs})")
            });
        }
        if token <= other.token {
            findings.add("M3 election", at, None, || {
                let (name, theirs) = (other.client, other.token);
                format!("{client} holds {lock} with {token} after {name} with {theirs}")
            });
        }
    }
}

/// One player's hold on a lock, from its view.
struct Term<'a> {
    client: &'a str,
    from: Duration,
    to: Duration,
}

/// The holds by their tokens, as their holders saw them.
fn terms(history: &History) -> BTreeMap<Zxid, Term<'_>> {
    let mut terms: BTreeMap<Zxid, Term<'_>> = BTreeMap::new();
    for moment in &history.moments {
        let at = moment.at;
        let What::Held {
            client,
            token,
            hold,
            ..
        } = &moment.what
        else {
            continue;
        };
        let begun = Term {
            client,
            from: at,
            to: Duration::MAX,
        };
        match hold {
            Hold::Begins => {
                terms.entry(*token).or_insert(begun);
            }
            Hold::Ends => {
                if let Some(term) = terms.get_mut(token) {
                    term.to = at;
                }
            }
        }
    }
    terms
}

/// What stands for a hold goes, while it is held, by its holder's own hand or with its session: who
/// releases must not take away what another has created at the same path meanwhile.
fn undisturbed(history: &History, log: &Log, replayed: &Replayed, findings: &mut Findings) {
    let terms = terms(history);
    if terms.is_empty() {
        return;
    }
    for ((_, path), told) in &replayed.told {
        let mut held: Option<(Zxid, &Term<'_>)> = None;
        for (zxid, kind, _) in told {
            match kind {
                EventKind::NodeCreated => held = terms.get(zxid).map(|term| (*zxid, term)),
                EventKind::NodeDeleted => {
                    if let Some((token, term)) = held.take()
                        && let (Some(made), Some(gone)) = (log.at(token), log.at(*zxid))
                        && whose(made) != whose(gone)
                        && (term.from..term.to).contains(&gone.executed_at)
                    {
                        findings.add("M3 election", gone.executed_at, whose(gone), || {
                            let client = term.client;
                            format!("{zxid} deletes {path}, which stands for {client}'s ({token})")
                        });
                    }
                }
                _ => {}
            }
        }
    }
}

/// By whose hand, or with whose end, a transaction came about.
fn whose(agreed: &Agreed) -> Option<SessionId> {
    match &agreed.txn.action {
        Action::CloseSession { session, .. } => Some(*session),
        _ => agreed.txn.origin.map(|origin| origin.session),
    }
}

/// Can this fault keep the client from noticing that its time is over? A name that is no client's
/// own names a part, which anybody may play.
fn excuses(fault: &FaultKind, client: &str, names: &BTreeSet<&str>) -> bool {
    match fault {
        FaultKind::Crash {
            who: Who::Client(name),
            ..
        }
        | FaultKind::Pause {
            who: Who::Client(name),
            ..
        } => name == client || !names.contains(name.as_str()),
        // What it does, only the test knows.
        FaultKind::Own { .. } => true,
        _ => false,
    }
}

/// Guarded writes: a token that is older than one that the store has seen is refused, no other.
fn fencing(history: &History, findings: &mut Findings) {
    let mut newest_seen = Zxid::ZERO;
    for moment in &history.moments {
        let What::Guarded {
            client,
            token,
            newest,
            accepted,
        } = &moment.what
        else {
            continue;
        };
        let at = moment.at;
        if *newest != newest_seen {
            findings.add("M2 fencing", at, None, || {
                format!("the store says that {newest} is its newest token; it is {newest_seen}")
            });
        }
        let right = *token >= newest_seen;
        if right != *accepted {
            findings.add("M2 fencing", at, None, || {
                let how = if *accepted { "took" } else { "refused" };
                format!("the store {how} {token} of {client} after {newest_seen}")
            });
        }
        newest_seen = newest_seen.max(*token);
    }
}
