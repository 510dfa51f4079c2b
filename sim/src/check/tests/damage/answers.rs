//! Damage to answers: their order, their positions, what they say.

use std::sync::Arc;

use althing_core::code::Code;
use althing_core::ids::Zxid;
use althing_core::node::reply::{Reply, Response};
use althing_core::node::request::{Read, Request};
use althing_core::store::txn::{Action, Txn};
use althing_core::tree::data::Data;
use althing_core::tree::op::{Create, Done, Naming, Op};
use althing_core::tree::path::Path;
use althing_core::tree::stat::Stat;

use crate::check::differing::op_path;
use crate::check::tests::damage::places::{
    acknowledged, answer_of, answers, change_txn, edit, is_write, link_of, pick, places,
};
use crate::history::{History, Moment, Received, Sent, What};

/// A pair of neighbouring answers of one link with different xids.
pub fn pair(history: &mut History, nth: usize) -> Option<(usize, usize)> {
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

pub fn drop_reply(history: &mut History, nth: usize) -> Option<()> {
    let (first, _) = pair(history, nth)?;
    history.moments.remove(first);
    Some(())
}

pub fn swap_replies(history: &mut History, nth: usize) -> Option<()> {
    let (first, second) = pair(history, nth)?;
    let what = history.moments[first].what.clone();
    history.moments[first].what = std::mem::replace(&mut history.moments[second].what, what);
    Some(())
}

pub fn double_reply(history: &mut History, nth: usize) -> Option<()> {
    let (first, _) = pair(history, nth)?;
    let again = history.moments[first].clone();
    history.moments.insert(first + 1, again);
    Some(())
}

pub fn wrong_xid(history: &mut History, nth: usize) -> Option<()> {
    let (first, _) = pair(history, nth)?;
    answer_of(&mut history.moments[first].what)?.0.0 += 1000;
    Some(())
}

pub fn swap_requests(history: &mut History, nth: usize) -> Option<()> {
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

pub fn stat_of_read(history: &mut History, nth: usize, change: fn(&mut Stat)) -> Option<()> {
    let fits =
        |_: &Request, result: &Result<Response, Code>| matches!(result, Ok(Response::Exists(_)));
    edit(history, nth, fits, |result| {
        if let Ok(Response::Exists(stat)) = result {
            change(stat);
        }
    })
}

pub fn stat_of_write(history: &mut History, nth: usize) -> Option<()> {
    let fits = |_: &Request, result: &Result<Response, Code>| {
        matches!(result, Ok(Response::Done(Done::DataSet(_))))
    };
    edit(history, nth, fits, |result| {
        if let Ok(Response::Done(Done::DataSet(stat))) = result {
            stat.data_length += 1;
        }
    })
}

pub fn wrong_data(history: &mut History, nth: usize) -> Option<()> {
    let fits =
        |_: &Request, result: &Result<Response, Code>| matches!(result, Ok(Response::Data { .. }));
    edit(history, nth, fits, |result| {
        if let Ok(Response::Data { data, .. }) = result {
            *data = Some(Data::from("never written"));
        }
    })
}

pub fn not_found(history: &mut History, nth: usize) -> Option<()> {
    // Without a watch: a watch on what is not there is another watch.
    let fits =
        |_: &Request, result: &Result<Response, Code>| matches!(result, Ok(Response::Data { .. }));
    edit(history, nth, fits, |result| *result = Err(Code::NoNode))
}

/// Nobody asks too often where there is no rate.
pub fn throttled(history: &mut History, nth: usize) -> Option<()> {
    let fits =
        |_: &Request, result: &Result<Response, Code>| matches!(result, Ok(Response::Data { .. }));
    edit(history, nth, fits, |result| {
        *result = Err(Code::ThrottledOp);
    })
}

pub fn has_children(_: &Request, result: &Result<Response, Code>) -> bool {
    match result {
        Ok(Response::Children { names, .. }) => !names.is_empty(),
        _ => false,
    }
}

pub fn missing_child(history: &mut History, nth: usize) -> Option<()> {
    edit(history, nth, has_children, |result| {
        if let Ok(Response::Children { names, .. }) = result {
            names.pop();
        }
    })
}

pub fn double_child(history: &mut History, nth: usize) -> Option<()> {
    edit(history, nth, has_children, |result| {
        if let Ok(Response::Children { names, .. }) = result {
            names.push(names[0].clone());
        }
    })
}

pub fn wrong_sync(history: &mut History, nth: usize) -> Option<()> {
    let fits = |_: &Request, result: &Result<Response, Code>| {
        matches!(result, Ok(Response::Synced { .. }))
    };
    edit(history, nth, fits, |result| {
        let path = Path::parse("/elsewhere").expect("a path");
        *result = Ok(Response::Synced { path });
    })
}

pub fn failed_ping(history: &mut History, nth: usize) -> Option<()> {
    let fits = |request: &Request, _: &Result<Response, Code>| *request == Request::Ping;
    edit(history, nth, fits, |result| {
        *result = Err(Code::OperationTimeout)
    })
}

pub fn wrong_error(history: &mut History, nth: usize) -> Option<()> {
    let fits = |request: &Request, result: &Result<Response, Code>| {
        matches!(request, Request::Write(_)) && *result == Err(Code::NoNode)
    };
    edit(history, nth, fits, |result| *result = Err(Code::NodeExists))
}

pub fn denied_write(history: &mut History, nth: usize) -> Option<()> {
    let fits = |request: &Request, result: &Result<Response, Code>| {
        matches!(request, Request::Write(_)) && result.is_ok()
    };
    edit(history, nth, fits, |result| {
        *result = Err(Code::SystemError)
    })
}

pub fn others_position(history: &mut History, nth: usize) -> Option<()> {
    let fits = |request: &Request, result: &Result<Response, Code>| {
        matches!(request, Request::Write(Op::SetData { .. })) && result.is_ok()
    };
    let place = pick(&answers(history, fits), nth)?;
    answer_of(&mut history.moments[place].what)?.1.0 -= 1;
    Some(())
}

pub fn never_agreed(history: &mut History, nth: usize) -> Option<()> {
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

pub fn renumber(history: &mut History, nth: usize, by: i64) -> Option<()> {
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

pub fn sequence_again(history: &mut History, nth: usize) -> Option<()> {
    renumber(history, nth, -1)
}

pub fn sequence_skipped(history: &mut History, nth: usize) -> Option<()> {
    renumber(history, nth, 1)
}

/// How a multi ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Was {
    Done,
    Refused,
}

pub fn multi(history: &mut History, nth: usize, was: Was) -> Option<()> {
    let was_done = was == Was::Done;
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
            false => Ok(Response::AllDone(vec![Done::Checked(Stat::default())])),
        };
    })
}

pub fn multi_place(history: &mut History, nth: usize) -> Option<()> {
    let fits = |_: &Request, result: &Result<Response, Code>| {
        matches!(result, Ok(Response::NoneDone { .. }))
    };
    edit(history, nth, fits, |result| {
        if let Ok(Response::NoneDone { index, .. }) = result {
            *index += 1;
        }
    })
}

pub fn half_multi(history: &mut History, nth: usize) -> Option<()> {
    // A refused multi; then a read shows what it would have written.
    let refused = answers(history, |_, result| {
        matches!(result, Ok(Response::NoneDone { .. }))
    });
    let reads = answers(history, |request, result| {
        matches!(request, Request::Read(Read::GetData { .. })) && result.is_ok()
    });
    let mut found = Vec::new();
    for multi in refused {
        let (_, zxid, _, asked) = answer_of(&mut history.moments[multi].what)?;
        let (zxid, Request::Multi(ops)) = (*zxid, &*asked) else {
            continue;
        };
        let paths: Vec<Path> = ops.iter().map(op_path).collect();
        let later = reads.partition_point(|read| *read < multi);
        for read in reads[later..].iter().take(20) {
            let (_, shown, _, asked) = answer_of(&mut history.moments[*read].what)?;
            if let Request::Read(Read::GetData { path, .. }) = &*asked
                && *shown >= zxid
                && paths.contains(path)
            {
                found.push(*read);
            }
        }
    }
    let read = pick(&found, nth)?;
    if let Ok(Response::Data { data, .. }) = answer_of(&mut history.moments[read].what)?.2 {
        *data = Some(Data::from("half of a multi"));
    }
    Some(())
}

pub fn from_the_future(history: &mut History, nth: usize) -> Option<()> {
    let reads = answers(history, |request, _| matches!(request, Request::Read(_)));
    let place = pick(&reads, nth)?;
    answer_of(&mut history.moments[place].what)?.1.0 += 100_000;
    Some(())
}

/// Sets back the position of a read that comes after a write of its link (or of another).
pub fn older_state(history: &mut History, nth: usize) -> Option<()> {
    set_back(history, nth, |request| matches!(request, Request::Read(_)))
}

pub fn set_back(history: &mut History, nth: usize, fits: fn(&Request) -> bool) -> Option<()> {
    let place = pick(&answers(history, |request, _| fits(request)), nth)?;
    let zxid = answer_of(&mut history.moments[place].what)?.1;
    *zxid = Zxid(
        zxid.0
            .checked_sub(5)
            .filter(|back| back & 0xffff_ffff < 1 << 31)?,
    );
    Some(())
}

pub fn own_write(history: &mut History, nth: usize) -> Option<()> {
    set_back(history, nth, |request| matches!(request, Request::Read(_)))
}

pub fn stale_sync(history: &mut History, nth: usize) -> Option<()> {
    set_back(history, nth, |request| {
        matches!(request, Request::Sync { .. })
    })
}

pub fn stale_read(history: &mut History, nth: usize) -> Option<()> {
    set_back(history, nth, |request| matches!(request, Request::Read(_)))
}

pub fn nobody_sent(history: &mut History, nth: usize) -> Option<()> {
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

pub fn executes_twice(history: &mut History, nth: usize) -> Option<()> {
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

pub fn garbage(history: &mut History, nth: usize) -> Option<()> {
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

/// A sequence number without its zeros.
pub fn short_number(history: &mut History, nth: usize) -> Option<()> {
    let fits = |request: &Request, result: &Result<Response, Code>| {
        let sequential = matches!(request, Request::Write(Op::Create(create))
            if create.naming == Naming::Sequential);
        sequential && matches!(result, Ok(Response::Done(Done::Created { .. })))
    };
    edit(history, nth, fits, |result| {
        if let Ok(Response::Done(Done::Created { path, .. })) = result {
            let (text, number) = path.as_str().split_at(path.as_str().len() - 10);
            let number: u64 = number.parse().expect("a number");
            *path = Path::parse(&format!("{text}{number}")).expect("a path");
        }
    })
}
