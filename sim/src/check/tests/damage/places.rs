//! Finding and changing places of a history.

use std::sync::Arc;

use althing_core::code::Code;
use althing_core::ids::{Xid, Zxid};
use althing_core::node::event::Event;
use althing_core::node::reply::{Reply, Response, WatchEvent};
use althing_core::node::request::Request;
use althing_core::store::txn::{Entry, Txn};

use crate::history::{History, LinkId, Received, What};

/// The parts of an answer, and what it answers.
pub type AnswerParts<'a> = (
    &'a mut Xid,
    &'a mut Zxid,
    &'a mut Result<Response, Code>,
    Arc<Request>,
);

pub fn answer_of(what: &mut What) -> Option<AnswerParts<'_>> {
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

pub fn event_of(what: &mut What) -> Option<&mut WatchEvent> {
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

pub fn link_of(what: &What) -> Option<LinkId> {
    match what {
        What::Received { link, .. } | What::Sent { link, .. } => Some(*link),
        _ => None,
    }
}

/// The places of all answers that `fits` accepts.
pub fn answers(
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

pub fn places(history: &History, fits: impl Fn(&What) -> bool) -> Vec<usize> {
    let moments = history.moments.iter().enumerate();
    moments
        .filter(|(_, moment)| fits(&moment.what))
        .map(|(index, _)| index)
        .collect()
}

/// The `nth` of some places, from the middle on.
pub fn pick<T: Copy>(places: &[T], nth: usize) -> Option<T> {
    match places.is_empty() {
        true => None,
        false => places.get((places.len() / 2 + nth) % places.len()).copied(),
    }
}

/// Edits the `nth` result that `fits` accepts.
pub fn edit(
    history: &mut History,
    nth: usize,
    fits: impl Fn(&Request, &Result<Response, Code>) -> bool,
    edit: impl Fn(&mut Result<Response, Code>),
) -> Option<()> {
    let place = pick(&answers(history, fits), nth)?;
    edit(answer_of(&mut history.moments[place].what)?.2);
    Some(())
}

pub fn is_write(request: &Request) -> bool {
    matches!(request, Request::Write(_) | Request::Multi(_))
}

/// The position and place of an acknowledged write that is no multi.
pub fn acknowledged(history: &mut History, nth: usize) -> Option<(Zxid, usize)> {
    let fits = |request: &Request, result: &Result<Response, Code>| {
        matches!(request, Request::Write(_)) && result.is_ok()
    };
    let place = pick(&answers(history, fits), nth)?;
    Some((*answer_of(&mut history.moments[place].what)?.1, place))
}

/// Changes a transaction wherever it stands.
pub fn change_txn(history: &mut History, zxid: Zxid, change: impl Fn(&mut Txn)) {
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

pub fn executed(history: &History) -> Vec<usize> {
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
