//! Ways to damage a good history, each with the invariant that it breaks. A checker that does not
//! see its damage cannot fail, and is worth nothing.

use std::sync::Arc;
use std::time::Duration;

use althing_core::code::Code;
use althing_core::ids::{Password, ServerId, SessionId, Xid, Zxid};
use althing_core::node::event::Event;
use althing_core::node::reply::{ConnectResponse, EventKind, Reply, Response, WatchEvent};
use althing_core::node::request::{Read, Request, Watching};
use althing_core::store::txn::{Action, Ending, Entry, Txn};
use althing_core::tree::acl::{Acl, Identity, Perms};
use althing_core::tree::data::Data;
use althing_core::tree::op::{Create, Done, Naming, Op};
use althing_core::tree::path::Path;
use althing_core::tree::stat::Stat;

use crate::check::findings::Findings;
use crate::check::{log, replay, wire, writes};
use crate::history::{History, Hold, LinkId, Moment, Received, Sent, What};
use crate::reference::access;
use crate::reference::tree::Table;

/// Damages the history at its `nth` fitting place; `None` if there is none.
pub type Damage = fn(&mut History, usize) -> Option<()>;

/// What is done, which invariant must be named, and how.
pub const DAMAGES: &[(&str, &str, Damage)] = &[
    ("a reply is dropped", "W3 order", drop_reply),
    ("two replies are swapped", "W3 order", swap_replies),
    ("a reply comes twice", "W3 order", double_reply),
    ("a reply has the wrong xid", "W3 order", wrong_xid),
    ("two requests are swapped", "W3 order", swap_requests),
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
    ("data is not what was written", "R1 read", wrong_data),
    ("a znode is not found", "R1 read", not_found),
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
    ("a refused multi is told as done", "W4 atomic", |h, n| {
        multi(h, n, false)
    }),
    ("a done multi is told as refused", "W4 atomic", |h, n| {
        multi(h, n, true)
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
    ("a session sees an older state", "R2 monotone", older_state),
    (
        "a client does not see its write",
        "R3 own writes",
        own_write,
    ),
    ("a sync is stale", "R4 sync", stale_sync),
    (
        "a lone server answers from the past",
        "R6 timely",
        stale_read,
    ),
    (
        "a write takes effect after its answer",
        "W1 linearizable",
        late_effect,
    ),
    ("a transaction that nobody sent", "W5 once", nobody_sent),
    ("a write executes twice", "W5 once", executes_twice),
    ("an event is lost", "V3 no lost watch", lost_event),
    ("an event is late", "V3 no lost watch", late_event),
    ("an event comes twice", "V1 one-shot", double_event),
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
    ("setWatches does not tell", "V5 re-arm", rearm_lost),
    ("setWatches tells too much", "V5 re-arm", rearm_spurious),
    ("a session expires early", "E1 not early", early),
    (
        "a session expires though it is heard",
        "E1 not early",
        early_on_the_wire,
    ),
    ("a session does not expire", "E2 not late", never_expires),
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
    ("an ephemeral outlives its session", "E4 no orphan", orphan),
    (
        "a live session is told it expired",
        "E4 no orphan",
        told_expired,
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
        "a time-out is not as negotiated",
        "E6 negotiation",
        wrong_timeout,
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
    ("an old token is accepted", "M2 fencing", old_token),
    ("a good token is refused", "M2 fencing", good_token),
    ("two clients have one token", "M3 election", one_token),
    ("a token is no position", "M3 election", no_token),
    ("garbage", "G1 garbage", garbage),
];

fn answer_of(
    what: &mut What,
) -> Option<(
    &mut Xid,
    &mut Zxid,
    &mut Result<Response, Code>,
    Arc<Request>,
)> {
    match what {
        What::Received {
            frame:
                Received::Reply {
                    reply: Reply::Answer { xid, zxid, result },
                    request: Some(asked),
                },
            ..
        } => Some((xid, zxid, result, asked.clone())),
        _ => None,
    }
}

fn event_of(what: &mut What) -> Option<&mut WatchEvent> {
    match what {
        What::Received {
            frame:
                Received::Reply {
                    reply: Reply::Event(event),
                    ..
                },
            ..
        } => Some(event),
        _ => None,
    }
}

fn link_of(what: &What) -> Option<LinkId> {
    match what {
        What::Received { link, .. } | What::Sent { link, .. } => Some(*link),
        _ => None,
    }
}

/// The places of all answers that `fits` accepts.
fn answers(
    history: &mut History,
    fits: impl Fn(&Request, &Result<Response, Code>) -> bool,
) -> Vec<usize> {
    let moments = history.moments.iter_mut().enumerate();
    moments
        .filter_map(|(index, moment)| {
            let (_, _, result, request) = answer_of(&mut moment.what)?;
            fits(&request, result).then_some(index)
        })
        .collect()
}

fn places(history: &History, fits: impl Fn(&What) -> bool) -> Vec<usize> {
    let moments = history.moments.iter().enumerate();
    moments
        .filter(|(_, moment)| fits(&moment.what))
        .map(|(index, _)| index)
        .collect()
}

/// The `nth` of some places, from the middle on.
fn pick(places: &[usize], nth: usize) -> Option<usize> {
    match places.is_empty() {
        true => None,
        false => places.get((places.len() / 2 + nth) % places.len()).copied(),
    }
}

/// Edits the `nth` result that `fits` accepts.
fn edit(
    history: &mut History,
    nth: usize,
    fits: impl Fn(&Request, &Result<Response, Code>) -> bool,
    edit: impl Fn(&mut Result<Response, Code>),
) -> Option<()> {
    let place = pick(&answers(history, fits), nth)?;
    edit(answer_of(&mut history.moments[place].what)?.2);
    Some(())
}

fn is_write(request: &Request) -> bool {
    matches!(request, Request::Write(_) | Request::Multi(_))
}

/// A pair of neighbouring answers of one link with different xids.
fn pair(history: &mut History, nth: usize) -> Option<(usize, usize)> {
    let all = answers(history, |_, _| true);
    let start = all.len() / 2 + nth;
    all.iter().skip(start).find_map(|first| {
        let link = link_of(&history.moments[*first].what)?;
        let (xid, ..) = answer_of(&mut history.moments[*first].what)?;
        let xid = *xid;
        let rest = all.iter().filter(|place| **place > *first);
        let second = rest
            .copied()
            .find(|place| link_of(&history.moments[*place].what) == Some(link))?;
        let (other, ..) = answer_of(&mut history.moments[second].what)?;
        (*other != xid).then_some((*first, second))
    })
}

fn drop_reply(history: &mut History, nth: usize) -> Option<()> {
    let (first, _) = pair(history, nth)?;
    history.moments.remove(first);
    Some(())
}

fn swap_replies(history: &mut History, nth: usize) -> Option<()> {
    let (first, second) = pair(history, nth)?;
    let what = history.moments[first].what.clone();
    history.moments[first].what = std::mem::replace(&mut history.moments[second].what, what);
    Some(())
}

fn double_reply(history: &mut History, nth: usize) -> Option<()> {
    let (first, _) = pair(history, nth)?;
    let again = history.moments[first].clone();
    history.moments.insert(first + 1, again);
    Some(())
}

fn wrong_xid(history: &mut History, nth: usize) -> Option<()> {
    let (first, _) = pair(history, nth)?;
    answer_of(&mut history.moments[first].what)?.0.0 += 1000;
    Some(())
}

fn swap_requests(history: &mut History, nth: usize) -> Option<()> {
    let is_request = |what: &What| match what {
        What::Sent {
            frame: Sent::Request { request, .. },
            ..
        } => is_write(request),
        _ => false,
    };
    let all = places(history, is_request);
    let start = all.len() / 2 + nth;
    let (first, second) = all.windows(2).skip(start).find_map(|pair| {
        let (a, b) = (&history.moments[pair[0]], &history.moments[pair[1]]);
        let same = link_of(&a.what) == link_of(&b.what) && a.at == b.at;
        same.then_some((pair[0], pair[1]))
    })?;
    history.moments.swap(first, second);
    Some(())
}

fn stat_of_read(history: &mut History, nth: usize, change: fn(&mut Stat)) -> Option<()> {
    let fits =
        |_: &Request, result: &Result<Response, Code>| matches!(result, Ok(Response::Exists(_)));
    edit(history, nth, fits, |result| {
        if let Ok(Response::Exists(stat)) = result {
            change(stat);
        }
    })
}

fn stat_of_write(history: &mut History, nth: usize) -> Option<()> {
    let fits = |_: &Request, result: &Result<Response, Code>| {
        matches!(result, Ok(Response::Done(Done::DataSet(_))))
    };
    edit(history, nth, fits, |result| {
        if let Ok(Response::Done(Done::DataSet(stat))) = result {
            stat.data_length += 1;
        }
    })
}

fn wrong_data(history: &mut History, nth: usize) -> Option<()> {
    let fits =
        |_: &Request, result: &Result<Response, Code>| matches!(result, Ok(Response::Data { .. }));
    edit(history, nth, fits, |result| {
        if let Ok(Response::Data { data, .. }) = result {
            *data = Some(Data::from("never written"));
        }
    })
}

fn not_found(history: &mut History, nth: usize) -> Option<()> {
    // Without a watch: a watch on what is not there is another watch.
    let fits =
        |_: &Request, result: &Result<Response, Code>| matches!(result, Ok(Response::Data { .. }));
    edit(history, nth, fits, |result| *result = Err(Code::NoNode))
}

fn has_children(_: &Request, result: &Result<Response, Code>) -> bool {
    match result {
        Ok(Response::Children { names, .. }) => !names.is_empty(),
        _ => false,
    }
}

fn missing_child(history: &mut History, nth: usize) -> Option<()> {
    edit(history, nth, has_children, |result| {
        if let Ok(Response::Children { names, .. }) = result {
            names.pop();
        }
    })
}

fn double_child(history: &mut History, nth: usize) -> Option<()> {
    edit(history, nth, has_children, |result| {
        if let Ok(Response::Children { names, .. }) = result {
            names.push(names[0].clone());
        }
    })
}

fn wrong_sync(history: &mut History, nth: usize) -> Option<()> {
    let fits = |_: &Request, result: &Result<Response, Code>| {
        matches!(result, Ok(Response::Synced { .. }))
    };
    edit(history, nth, fits, |result| {
        let path = Path::parse("/elsewhere").expect("a path");
        *result = Ok(Response::Synced { path });
    })
}

fn failed_ping(history: &mut History, nth: usize) -> Option<()> {
    let fits = |request: &Request, _: &Result<Response, Code>| *request == Request::Ping;
    edit(history, nth, fits, |result| {
        *result = Err(Code::OperationTimeout)
    })
}

fn wrong_error(history: &mut History, nth: usize) -> Option<()> {
    let fits = |request: &Request, result: &Result<Response, Code>| {
        matches!(request, Request::Write(_)) && *result == Err(Code::NoNode)
    };
    edit(history, nth, fits, |result| *result = Err(Code::NodeExists))
}

fn denied_write(history: &mut History, nth: usize) -> Option<()> {
    let fits = |request: &Request, result: &Result<Response, Code>| {
        matches!(request, Request::Write(_)) && result.is_ok()
    };
    edit(history, nth, fits, |result| {
        *result = Err(Code::SystemError)
    })
}

fn others_position(history: &mut History, nth: usize) -> Option<()> {
    let fits = |request: &Request, result: &Result<Response, Code>| {
        matches!(request, Request::Write(Op::SetData { .. })) && result.is_ok()
    };
    let place = pick(&answers(history, fits), nth)?;
    answer_of(&mut history.moments[place].what)?.1.0 -= 1;
    Some(())
}

fn never_agreed(history: &mut History, nth: usize) -> Option<()> {
    // An acknowledged write becomes another one in the log.
    let (zxid, place) = acknowledged(history, nth)?;
    let other = Path::parse("/never").expect("a path");
    let op = Op::SetData {
        path: other,
        data: None,
        version: -1,
    };
    change_txn(history, zxid, |txn| txn.action = Action::Write(op.clone()));
    let _ = place;
    Some(())
}

/// The position and place of an acknowledged write that is no multi.
fn acknowledged(history: &mut History, nth: usize) -> Option<(Zxid, usize)> {
    let fits = |request: &Request, result: &Result<Response, Code>| {
        matches!(request, Request::Write(_)) && result.is_ok()
    };
    let place = pick(&answers(history, fits), nth)?;
    Some((*answer_of(&mut history.moments[place].what)?.1, place))
}

/// Changes a transaction wherever it stands.
fn change_txn(history: &mut History, zxid: Zxid, change: impl Fn(&mut Txn)) {
    for moment in &mut history.moments {
        match &mut moment.what {
            What::Saving {
                zxid: saved, txn, ..
            } if *saved == zxid => change(Arc::make_mut(txn)),
            What::Recovered { entries, .. } => {
                let mut all: Vec<Entry> = entries.to_vec();
                for entry in all.iter_mut().filter(|entry| entry.zxid == zxid) {
                    change(Arc::make_mut(&mut entry.txn));
                }
                *entries = Arc::from(all);
            }
            _ => {}
        }
    }
}

fn renumber(history: &mut History, nth: usize, by: i64) -> Option<()> {
    let fits = |request: &Request, result: &Result<Response, Code>| {
        let sequential = matches!(request, Request::Write(Op::Create(Create { naming, .. }))
            if *naming == Naming::Sequential);
        let numbered = |path: &Path| !path.as_str().ends_with("0000000000");
        sequential
            && matches!(result, Ok(Response::Done(Done::Created { path, .. })) if numbered(path))
    };
    edit(history, nth, fits, |result| {
        if let Ok(Response::Done(Done::Created { path, .. })) = result {
            let (text, number) = path.as_str().split_at(path.as_str().len() - 10);
            let number = number.parse::<i64>().expect("a number") + by;
            *path = Path::parse(&format!("{text}{number:010}")).expect("a path");
        }
    })
}

fn sequence_again(history: &mut History, nth: usize) -> Option<()> {
    renumber(history, nth, -1)
}

fn sequence_skipped(history: &mut History, nth: usize) -> Option<()> {
    renumber(history, nth, 1)
}

fn multi(history: &mut History, nth: usize, was_done: bool) -> Option<()> {
    let fits = |request: &Request, result: &Result<Response, Code>| {
        matches!(request, Request::Multi(ops) if !ops.is_empty())
            && matches!(result, Ok(Response::AllDone(_))) == was_done
            && result.is_ok()
    };
    edit(history, nth, fits, |result| {
        *result = match was_done {
            true => Ok(Response::NoneDone {
                count: 1,
                index: 0,
                code: Code::NoNode,
            }),
            false => Ok(Response::AllDone(vec![Done::Checked])),
        };
    })
}

fn multi_place(history: &mut History, nth: usize) -> Option<()> {
    let fits = |_: &Request, result: &Result<Response, Code>| {
        matches!(result, Ok(Response::NoneDone { .. }))
    };
    edit(history, nth, fits, |result| {
        if let Ok(Response::NoneDone { index, .. }) = result {
            *index += 1;
        }
    })
}

fn half_multi(history: &mut History, nth: usize) -> Option<()> {
    // A refused multi, made to begin with a create; then a read shows what it would have created.
    let fits = |_: &Request, result: &Result<Response, Code>| {
        matches!(result, Ok(Response::NoneDone { .. }))
    };
    let multi = pick(&answers(history, fits), nth)?;
    let (_, zxid, _, asked) = answer_of(&mut history.moments[multi].what)?;
    let zxid = *zxid;
    let Request::Multi(ops) = &*asked else {
        return None;
    };
    let paths: Vec<Path> = ops
        .iter()
        .filter_map(|op| match op {
            Op::SetData { path, .. } => Some(path.clone()),
            _ => None,
        })
        .collect();
    let reads = answers(history, |request, result| {
        matches!(request, Request::Read(Read::GetData { path, .. }) if paths.contains(path))
            && result.is_ok()
    });
    let read = reads.into_iter().find(|read| {
        let shown = answer_of(&mut history.moments[*read].what).map(|answer| *answer.1);
        *read > multi && shown.is_some_and(|shown| shown.0 - zxid.0 < 8)
    })?;
    if let Ok(Response::Data { data, .. }) = answer_of(&mut history.moments[read].what)?.2 {
        *data = Some(Data::from("half of a multi"));
    }
    Some(())
}

/// The recovery with the most entries, and its entries.
fn recovery(history: &mut History) -> Option<&mut Moment> {
    let recoveries = history.moments.iter_mut().filter(
        |moment| matches!(&moment.what, What::Recovered { entries, .. } if entries.len() > 3),
    );
    recoveries.last()
}

fn edit_recovery(history: &mut History, edit: impl Fn(&mut Zxid, &mut Vec<Entry>)) -> Option<()> {
    let moment = recovery(history)?;
    if let What::Recovered {
        snapshot, entries, ..
    } = &mut moment.what
    {
        let mut all = entries.to_vec();
        edit(snapshot, &mut all);
        *entries = Arc::from(all);
    }
    Some(())
}

fn lost_entry(history: &mut History, _: usize) -> Option<()> {
    edit_recovery(history, |_, entries| {
        let keep = entries.len() / 2;
        entries.truncate(keep);
    })
}

fn lost_log(history: &mut History, _: usize) -> Option<()> {
    edit_recovery(history, |_, entries| entries.clear())
}

fn log_gap(history: &mut History, _: usize) -> Option<()> {
    edit_recovery(history, |_, entries| {
        entries.remove(entries.len() / 2);
    })
}

fn other_entry(history: &mut History, _: usize) -> Option<()> {
    edit_recovery(history, |_, entries| {
        let middle = entries.len() / 2;
        Arc::make_mut(&mut entries[middle].txn).wall.0 += 1;
    })
}

fn other_snapshot(history: &mut History, _: usize) -> Option<()> {
    edit_recovery(history, |snapshot, _| snapshot.0 += 1 << 30)
}

fn not_durable(history: &mut History, nth: usize) -> Option<()> {
    let (zxid, _) = acknowledged(history, nth)?;
    let place = places(
        history,
        |what| matches!(what, What::Durable { zxid: durable, .. } if *durable == zxid),
    );
    let late = Duration::from_millis(500);
    let mut moment = history.moments.remove(*place.first()?);
    moment.at += late;
    let later = history
        .moments
        .iter()
        .position(|other| other.at > moment.at)?;
    // Everything that became durable meanwhile waits as well.
    let (from, to) = (place[0], later);
    history.moments.insert(later, moment);
    let mut index = 0;
    history.moments.retain(|moment| {
        let between = index >= from && index < to;
        index += 1;
        !(between && matches!(moment.what, What::Durable { .. }))
    });
    Some(())
}

fn executed(history: &History) -> Vec<usize> {
    places(history, |what| {
        matches!(
            what,
            What::Said {
                event: Event::Executed { .. },
                ..
            }
        )
    })
}

fn other_digest(history: &mut History, _: usize) -> Option<()> {
    let mut seen = std::collections::BTreeSet::new();
    let again = executed(history).into_iter().find(|place| {
        let What::Said {
            event: Event::Executed { zxid, .. },
            ..
        } = history.moments[*place].what
        else {
            unreachable!("an execution")
        };
        !seen.insert(zxid)
    })?;
    if let What::Said {
        event: Event::Executed { digest, .. },
        ..
    } = &mut history.moments[again].what
    {
        *digest ^= 1;
    }
    Some(())
}

fn executed_twice(history: &mut History, nth: usize) -> Option<()> {
    let place = pick(&executed(history), nth)?;
    let again = history.moments[place].clone();
    history.moments.insert(place + 1, again);
    Some(())
}

fn skipped(history: &mut History, nth: usize) -> Option<()> {
    let (zxid, _) = acknowledged(history, nth)?;
    history.moments.retain(|moment| match &moment.what {
        What::Saving { zxid: at, .. } => *at != zxid,
        What::Said {
            event: Event::Executed { zxid: at, .. },
            ..
        } => *at != zxid,
        _ => true,
    });
    Some(())
}

fn two_leaders(history: &mut History, _: usize) -> Option<()> {
    let elected = places(history, |what| {
        matches!(
            what,
            What::Said {
                event: Event::Elected { .. },
                ..
            }
        )
    });
    let mut again = history.moments[*elected.first()?].clone();
    if let What::Said {
        server,
        event: Event::Elected { leader, .. },
    } = &mut again.what
    {
        (*server, *leader) = (ServerId(2), ServerId(2));
    }
    history.moments.insert(elected[0] + 1, again);
    Some(())
}

fn from_the_future(history: &mut History, nth: usize) -> Option<()> {
    let reads = answers(history, |request, _| matches!(request, Request::Read(_)));
    let place = pick(&reads, nth)?;
    answer_of(&mut history.moments[place].what)?.1.0 += 100_000;
    Some(())
}

/// Sets back the position of a read that comes after a write of its link (or of another).
fn older_state(history: &mut History, nth: usize) -> Option<()> {
    set_back(history, nth, |request| matches!(request, Request::Read(_)))
}

fn set_back(history: &mut History, nth: usize, fits: fn(&Request) -> bool) -> Option<()> {
    let place = pick(&answers(history, |request, _| fits(request)), nth)?;
    let zxid = answer_of(&mut history.moments[place].what)?.1;
    *zxid = Zxid(
        zxid.0
            .checked_sub(5)
            .filter(|back| back & 0xffff_ffff < 1 << 31)?,
    );
    Some(())
}

fn own_write(history: &mut History, nth: usize) -> Option<()> {
    set_back(history, nth, |request| matches!(request, Request::Read(_)))
}

fn stale_sync(history: &mut History, nth: usize) -> Option<()> {
    set_back(history, nth, |request| {
        matches!(request, Request::Sync { .. })
    })
}

fn stale_read(history: &mut History, nth: usize) -> Option<()> {
    set_back(history, nth, |request| matches!(request, Request::Read(_)))
}

fn late_effect(history: &mut History, nth: usize) -> Option<()> {
    let (zxid, place) = acknowledged(history, nth)?;
    let at = history.moments[place].at + Duration::from_millis(1);
    let executed = executed(history).into_iter().find(|place| {
        matches!(history.moments[*place].what,
            What::Said { event: Event::Executed { zxid: of, .. }, .. } if of == zxid)
    })?;
    let mut moment = history.moments.remove(executed);
    moment.at = at;
    let later = history.moments.iter().position(|other| other.at > at)?;
    history.moments.insert(later, moment);
    Some(())
}

fn nobody_sent(history: &mut History, nth: usize) -> Option<()> {
    let (_, place) = acknowledged(history, nth)?;
    let link = link_of(&history.moments[place].what)?;
    let xid = *answer_of(&mut history.moments[place].what)?.0;
    let mut gone = 0;
    history.moments.retain(|moment| {
        let is = link_of(&moment.what) == Some(link)
            && match &moment.what {
                What::Sent {
                    frame: Sent::Request { xid: of, .. },
                    ..
                } => *of == xid,
                What::Received {
                    frame:
                        Received::Reply {
                            reply: Reply::Answer { xid: of, .. },
                            ..
                        },
                    ..
                } => *of == xid,
                _ => false,
            };
        gone += usize::from(is);
        !is
    });
    (gone == 2).then_some(())
}

fn executes_twice(history: &mut History, nth: usize) -> Option<()> {
    // A write becomes a copy of the one before it in the same attachment.
    let savings: Vec<(Zxid, Arc<Txn>)> = history
        .moments
        .iter()
        .filter_map(|moment| match &moment.what {
            What::Saving { zxid, txn, .. } => Some((*zxid, txn.clone())),
            _ => None,
        })
        .collect();
    let mut pairs = savings.iter().flat_map(|(_, first)| {
        let origin = first.origin;
        let next = savings
            .iter()
            .find(move |(_, txn)| match (origin, txn.origin) {
                (Some(a), Some(b)) => {
                    a.session == b.session
                        && a.attachment == b.attachment
                        && a.sequence + 1 == b.sequence
                }
                _ => false,
            });
        next.map(|(zxid, second)| (*zxid, first.clone(), second.clone()))
    });
    let (zxid, first, _) = pairs.nth(100 + nth)?;
    change_txn(history, zxid, |txn| txn.action = first.action.clone());
    Some(())
}

fn events(history: &mut History) -> Vec<usize> {
    places(history, |what| {
        matches!(
            what,
            What::Received {
                frame: Received::Reply {
                    reply: Reply::Event(_),
                    ..
                },
                ..
            }
        )
    })
}

/// Events that a change fired, not a `setWatches`: an answer came on their link before, and the
/// next answer is that of no `setWatches`.
fn fired(history: &mut History) -> Vec<usize> {
    let all = events(history);
    all.into_iter()
        .filter(|place| {
            let link = link_of(&history.moments[*place].what);
            let next = history.moments[*place + 1..]
                .iter_mut()
                .filter(|moment| link_of(&moment.what) == link)
                .find_map(|moment| answer_of(&mut moment.what));
            next.is_some_and(|(_, _, _, asked)| !matches!(&*asked, Request::SetWatches(_)))
        })
        .collect()
}

fn lost_event(history: &mut History, nth: usize) -> Option<()> {
    let place = pick(&fired(history), nth)?;
    history.moments.remove(place);
    Some(())
}

fn late_event(history: &mut History, nth: usize) -> Option<()> {
    let place = pick(&fired(history), nth)?;
    let link = link_of(&history.moments[place].what);
    let event = history.moments.remove(place);
    let answer = (place..history.moments.len()).find(|place| {
        let moment = &mut history.moments[*place];
        link_of(&moment.what) == link && answer_of(&mut moment.what).is_some()
    })?;
    let at = history.moments[answer].at;
    history.moments.insert(answer + 1, Moment { at, ..event });
    Some(())
}

fn double_event(history: &mut History, nth: usize) -> Option<()> {
    let place = pick(&fired(history), nth)?;
    let again = history.moments[place].clone();
    history.moments.insert(place + 1, again);
    Some(())
}

fn wrong_kind(history: &mut History, nth: usize) -> Option<()> {
    let place = pick(&fired(history), nth)?;
    let event = event_of(&mut history.moments[place].what)?;
    event.kind = match event.kind {
        EventKind::NodeDeleted => EventKind::NodeCreated,
        _ => EventKind::NodeDeleted,
    };
    Some(())
}

fn wrong_position(history: &mut History, nth: usize) -> Option<()> {
    let place = pick(&fired(history), nth)?;
    event_of(&mut history.moments[place].what)?.zxid.0 -= 1;
    Some(())
}

fn spurious_event(history: &mut History, nth: usize) -> Option<()> {
    let place = pick(&fired(history), nth)?;
    let mut spurious = history.moments[place].clone();
    event_of(&mut spurious.what)?.path = Path::parse("/unwatched").expect("a path");
    history.moments.insert(place + 1, spurious);
    Some(())
}

fn swap_events(history: &mut History, nth: usize) -> Option<()> {
    let all = fired(history);
    let zxid = |moment: &Moment| event_of(&mut moment.what.clone()).map(|event| event.zxid);
    let pairs: Vec<(usize, usize)> = all
        .iter()
        .filter_map(|first| {
            let link = link_of(&history.moments[*first].what);
            let rest = history.moments[*first + 1..].iter().enumerate();
            let (next, other) = rest
                .filter(|(_, moment)| matches!(moment.what, What::Received { .. }))
                .find(|(_, moment)| link_of(&moment.what) == link)?;
            let differ = zxid(other).is_some_and(|of| Some(of) != zxid(&history.moments[*first]));
            differ.then_some((*first, *first + 1 + next))
        })
        .collect();
    let (first, second) = pairs.get(nth)?;
    let what = history.moments[*first].what.clone();
    history.moments[*first].what = std::mem::replace(&mut history.moments[*second].what, what);
    Some(())
}

fn rearmed(history: &mut History) -> Vec<usize> {
    let all = events(history);
    let fired = fired(history);
    let mut seen: Vec<usize> = Vec::new();
    for place in all {
        let link = link_of(&history.moments[place].what);
        let answered = history.moments[place..]
            .iter_mut()
            .filter(|moment| link_of(&moment.what) == link)
            .any(|moment| answer_of(&mut moment.what).is_some());
        if answered && !fired.contains(&place) {
            seen.push(place);
        }
    }
    seen
}

fn rearm_lost(history: &mut History, nth: usize) -> Option<()> {
    let place = pick(&rearmed(history), nth)?;
    history.moments.remove(place);
    Some(())
}

fn rearm_spurious(history: &mut History, nth: usize) -> Option<()> {
    let place = pick(&rearmed(history), nth)?;
    let mut spurious = history.moments[place].clone();
    event_of(&mut spurious.what)?.path = Path::parse("/unwatched").expect("a path");
    history.moments.insert(place, spurious);
    Some(())
}

/// The place where the end of a session that expired was decided, and the session.
fn expiry(history: &History, nth: usize) -> Option<(usize, SessionId)> {
    let all: Vec<(usize, SessionId)> = history
        .moments
        .iter()
        .enumerate()
        .filter_map(|(place, moment)| match &moment.what {
            What::Saving { txn, .. } => match txn.action {
                Action::CloseSession {
                    session,
                    ending: Ending::Expired,
                } => Some((place, session)),
                _ => None,
            },
            _ => None,
        })
        .collect();
    all.get(nth % all.len().max(1)).copied()
}

fn early(history: &mut History, nth: usize) -> Option<()> {
    let (place, session) = expiry(history, nth)?;
    let at = history.moments[place].at;
    let event = Event::Touched { session };
    let what = What::Said {
        server: ServerId(1),
        event,
    };
    history.moments.insert(place, Moment { at, what });
    Some(())
}

fn early_on_the_wire(history: &mut History, nth: usize) -> Option<()> {
    let (place, session) = expiry(history, nth)?;
    let at = history.moments[place].at;
    // The last link of the session: its client pings once more, and is answered.
    let connected = history.moments[..place]
        .iter()
        .rev()
        .find_map(|moment| match &moment.what {
            What::Received {
                client,
                link,
                frame: Received::Connected(response),
            } if response.session == Some(session) => Some((client.clone(), *link)),
            _ => None,
        });
    let (client, link) = connected?;
    let shown = history.moments[..place]
        .iter()
        .rev()
        .find_map(|moment| match &moment.what {
            What::Said {
                event: Event::Executed { zxid, .. },
                ..
            } => Some(*zxid),
            _ => None,
        })?;
    let request = Arc::new(Request::Ping);
    let (xid, early) = (Xid::PING, at - Duration::from_millis(20));
    let frame = Sent::Request {
        xid,
        request: request.clone(),
    };
    let sent = What::Sent {
        client: client.clone(),
        link,
        frame,
    };
    let answer = Reply::Answer {
        xid,
        zxid: shown,
        result: Ok(Response::Empty),
    };
    let frame = Received::Reply {
        reply: answer,
        request: Some(request),
    };
    let received = What::Received {
        client,
        link,
        frame,
    };
    let before = at - Duration::from_millis(1);
    let place = history
        .moments
        .iter()
        .position(|moment| moment.at >= before)?;
    history.moments.insert(
        place,
        Moment {
            at: before,
            what: received,
        },
    );
    history.moments.insert(
        place,
        Moment {
            at: early,
            what: sent,
        },
    );
    Some(())
}

fn never_expires(history: &mut History, nth: usize) -> Option<()> {
    let (_, session) = expiry(history, nth)?;
    history.moments.retain(|moment| match &moment.what {
        What::Saving { txn, .. } => {
            !matches!(txn.action, Action::CloseSession { session: of, .. } if of == session)
        }
        _ => true,
    });
    Some(())
}

fn closed(history: &mut History, nth: usize) -> Option<&mut Event> {
    let all = places(history, |what| {
        matches!(
            what,
            What::Said {
                event: Event::SessionClosed { .. },
                ..
            }
        )
    });
    match &mut history.moments[pick(&all, nth)?].what {
        What::Said { event, .. } => Some(event),
        _ => None,
    }
}

fn stays_behind(history: &mut History, nth: usize) -> Option<()> {
    if let Event::SessionClosed { ephemerals, .. } = closed(history, nth)? {
        *ephemerals += 1;
    }
    Some(())
}

fn phantom_end(history: &mut History, nth: usize) -> Option<()> {
    if let Event::SessionClosed { session, .. } = closed(history, nth)? {
        *session = SessionId(77);
    }
    Some(())
}

fn orphan(history: &mut History, nth: usize) -> Option<()> {
    let fits = |request: &Request, result: &Result<Response, Code>| {
        matches!(request, Request::Read(Read::Exists { .. })) && result.is_err()
    };
    edit(history, nth, fits, |result| {
        *result = Ok(Response::Exists(Stat {
            ephemeral_owner: 77,
            ..Stat::default()
        }));
    })
}

/// The answers to first frames that give a session, by whether it was asked for.
fn handshake(
    history: &mut History,
    nth: usize,
    attaches: bool,
) -> Option<(usize, &mut ConnectResponse)> {
    let mut asked = std::collections::BTreeMap::new();
    let mut all = Vec::new();
    for (place, moment) in history.moments.iter().enumerate() {
        match &moment.what {
            What::Sent {
                link,
                frame: Sent::Connect(request),
                ..
            } => {
                asked.insert(*link, request.session.is_some());
            }
            What::Received {
                link,
                frame: Received::Connected(response),
                ..
            } if response.session.is_some() && asked.get(link) == Some(&attaches) => {
                all.push(place);
            }
            _ => {}
        }
    }
    let place = pick(&all, nth)?;
    match &mut history.moments[place].what {
        What::Received {
            frame: Received::Connected(response),
            ..
        } => Some((place, response)),
        _ => None,
    }
}

fn told_expired(history: &mut History, nth: usize) -> Option<()> {
    let (_, response) = handshake(history, nth, true)?;
    response.timeout_ms = 0;
    response.session = None;
    response.password = Password::NONE;
    Some(())
}

fn other_session(history: &mut History, nth: usize) -> Option<()> {
    let (_, response) = handshake(history, nth, true)?;
    response.session = Some(SessionId(77));
    Some(())
}

fn opened_twice(history: &mut History, _: usize) -> Option<()> {
    let first = handshake(history, 0, false)?.1.session;
    let second = handshake(history, 1, false)?.1;
    (second.session != first).then_some(())?;
    second.session = first;
    Some(())
}

fn wrong_password(history: &mut History, nth: usize) -> Option<()> {
    let (place, _) = handshake(history, nth, true)?;
    let link = link_of(&history.moments[place].what)?;
    let connect = history
        .moments
        .iter_mut()
        .find_map(|moment| match &mut moment.what {
            What::Sent {
                link: of,
                frame: Sent::Connect(request),
                ..
            } if *of == link => Some(request),
            _ => None,
        })?;
    connect.password = Password([7; 16]);
    Some(())
}

fn dead_session(history: &mut History, _: usize) -> Option<()> {
    // A refused attachment becomes a granted one.
    let mut asked = std::collections::BTreeMap::new();
    for moment in &mut history.moments {
        match &mut moment.what {
            What::Sent {
                link,
                frame: Sent::Connect(request),
                ..
            } => {
                asked.insert(*link, (request.session, request.password));
            }
            What::Received {
                link,
                frame: Received::Connected(response),
                ..
            } if response.session.is_none() => {
                let (session, password) = asked[link];
                response.session = Some(session?);
                response.password = password;
                response.timeout_ms = 4000;
                return Some(());
            }
            _ => {}
        }
    }
    None
}

fn wrong_timeout(history: &mut History, nth: usize) -> Option<()> {
    handshake(history, nth, false)?.1.timeout_ms += 1;
    Some(())
}

fn secret(history: &mut History, nth: usize) -> Option<()> {
    let fits = |request: &Request, result: &Result<Response, Code>| {
        matches!(request, Request::Read(Read::GetData { .. })) && *result == Err(Code::NoAuth)
    };
    edit(history, nth, fits, |result| {
        *result = Ok(Response::Data {
            data: None,
            stat: Stat::default(),
        });
    })
}

fn denied(history: &mut History, nth: usize) -> Option<()> {
    let fits = |request: &Request, result: &Result<Response, Code>| {
        matches!(request, Request::Read(_)) && result.is_ok()
    };
    edit(history, nth, fits, |result| *result = Err(Code::NoAuth))
}

fn wrong_acl(history: &mut History, nth: usize) -> Option<()> {
    let fits =
        |_: &Request, result: &Result<Response, Code>| matches!(result, Ok(Response::Acl { .. }));
    edit(history, nth, fits, |result| {
        if let Ok(Response::Acl { acl, .. }) = result {
            *acl = Acl::read_only();
        }
    })
}

fn somebody_else(history: &mut History, nth: usize) -> Option<()> {
    let (zxid, _) = acknowledged(history, nth)?;
    change_txn(history, zxid, |txn| {
        txn.identities = Arc::from([Identity::new("digest", "mallory:x")]);
    });
    Some(())
}

/// Tells a client of a change of a znode that it watches and may no longer read.
fn event_for_a_stranger(history: &mut History, nth: usize) -> Option<()> {
    let mut ignored = Findings::default();
    let log = log::build(1, history, &mut ignored);
    let mut wire = wire::join(history, &mut ignored);
    writes::attach(&log, &mut wire);
    let replayed = replay::replay(&log, &wire, &mut ignored);
    let mut strangers = wire.links.iter().flat_map(|link| {
        let replayed = &replayed;
        link.asked.iter().filter_map(move |asked| {
            let Request::Read(Read::Exists { path, watching }) = asked.request else {
                return None;
            };
            let since = asked.answer?.zxid;
            let changes = replayed.told.get(&(Table::Data, path.clone()))?;
            let (zxid, kind, acl) = changes.iter().find(|(zxid, ..)| *zxid > since)?;
            let who = link.identities(link.asked.len());
            let denied = !access::permits(acl, Perms::READ, &who);
            let answers = link.asked.iter().filter_map(|asked| asked.answer);
            let shown = answers
                .map(|answer| answer.zxid)
                .find(|shown| shown >= zxid)?;
            let fits = denied && *watching == Watching::Once;
            fits.then(|| (link.id, shown, *zxid, *kind, path.clone()))
        })
    });
    let (link, shown, zxid, kind, path) = strangers.nth(nth)?;
    let place = history.moments.iter_mut().position(|moment| {
        link_of(&moment.what) == Some(link)
            && answer_of(&mut moment.what).is_some_and(|answer| *answer.1 == shown)
    })?;
    let mut told = history.moments[place].clone();
    if let What::Received { frame, .. } = &mut told.what {
        let reply = Reply::Event(WatchEvent { zxid, kind, path });
        *frame = Received::Reply {
            reply,
            request: None,
        };
    }
    history.moments.insert(place, told);
    Some(())
}

fn held(history: &History, of: Hold, nth: usize) -> Option<usize> {
    let all = places(
        history,
        |what| matches!(what, What::Held { hold, .. } if *hold == of),
    );
    all.get(nth + 1).copied()
}

fn two_holders(history: &mut History, nth: usize) -> Option<()> {
    let place = held(history, Hold::Ends, nth)?;
    history.moments.remove(place);
    Some(())
}

fn one_token(history: &mut History, nth: usize) -> Option<()> {
    let place = held(history, Hold::Begins, nth)?;
    let mut again = history.moments[place].clone();
    if let What::Held { client, .. } = &mut again.what {
        *client = Arc::from("mallory");
    }
    history.moments.insert(place + 1, again);
    Some(())
}

fn no_token(history: &mut History, nth: usize) -> Option<()> {
    let place = held(history, Hold::Begins, nth)?;
    if let What::Held { token, .. } = &mut history.moments[place].what {
        token.0 += 1 << 30;
    }
    Some(())
}

fn guarded(history: &History) -> Vec<usize> {
    places(history, |what| matches!(what, What::Guarded { .. }))
}

fn old_token(history: &mut History, nth: usize) -> Option<()> {
    let all = guarded(history);
    let mut old = history.moments[*all.get(nth)?].clone();
    if let What::Guarded { newest, token, .. } = &mut old.what {
        *newest = (*newest).max(*token);
        token.0 -= 1;
    }
    history.moments.insert(all[nth] + 1, old);
    Some(())
}

fn good_token(history: &mut History, nth: usize) -> Option<()> {
    let place = *guarded(history).get(nth)?;
    if let What::Guarded { accepted, .. } = &mut history.moments[place].what {
        *accepted = false;
    }
    Some(())
}

fn garbage(history: &mut History, nth: usize) -> Option<()> {
    let place = pick(&answers(history, |_, _| true), nth)?;
    let at = history.moments[place].at;
    let What::Received { client, link, .. } = &history.moments[place].what else {
        return None;
    };
    let (client, link) = (client.clone(), *link);
    let frame = Received::Garbage("four bytes too many".to_owned());
    history.moments.insert(
        place,
        Moment {
            at,
            what: What::Received {
                client,
                link,
                frame,
            },
        },
    );
    Some(())
}
