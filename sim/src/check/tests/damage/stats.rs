//! Damage to the fields of a Stat, in whichever read shows one.

use althing_core::code::Code;
use althing_core::ids::Zxid;
use althing_core::node::reply::Response;
use althing_core::node::request::Request;
use althing_core::tree::op::Done;
use althing_core::tree::stat::Stat;

use crate::check::tests::damage::places::edit;
use crate::history::History;

/// The Stat that a read's answer shows.
fn shown(result: &mut Result<Response, Code>) -> Option<&mut Stat> {
    match result {
        Ok(Response::Exists(stat) | Response::Data { stat, .. } | Response::Acl { stat, .. }) => {
            Some(stat)
        }
        Ok(Response::Children { stat, .. }) => stat.as_mut(),
        _ => None,
    }
}

/// Changes the Stat of the `nth` read whose answer is of the wanted form.
fn change(
    history: &mut History,
    nth: usize,
    form: fn(&Response) -> bool,
    change: fn(&mut Stat),
) -> Option<()> {
    let fits = |_: &Request, result: &Result<Response, Code>| {
        result.as_ref().is_ok_and(form) && shown(&mut result.clone()).is_some()
    };
    edit(history, nth, fits, |result| {
        change(shown(result).expect("it fits"));
    })
}

pub fn of_exists(history: &mut History, nth: usize, by: fn(&mut Stat)) -> Option<()> {
    change(
        history,
        nth,
        |shown| matches!(shown, Response::Exists(_)),
        by,
    )
}

pub fn creation(history: &mut History, nth: usize) -> Option<()> {
    of_exists(history, nth, |stat| stat.czxid = Zxid(stat.czxid.0 + 1))
}

pub fn creation_time(history: &mut History, nth: usize) -> Option<()> {
    of_exists(history, nth, |stat| stat.ctime.0 -= 1)
}

pub fn change_beside_data(history: &mut History, nth: usize) -> Option<()> {
    let form = |shown: &Response| matches!(shown, Response::Data { .. });
    change(history, nth, form, |stat| {
        stat.mzxid = Zxid(stat.mzxid.0 + 1)
    })
}

pub fn length_beside_data(history: &mut History, nth: usize) -> Option<()> {
    let form = |shown: &Response| matches!(shown, Response::Data { .. });
    change(history, nth, form, |stat| stat.data_length += 1)
}

pub fn version_beside_acl(history: &mut History, nth: usize) -> Option<()> {
    let form = |shown: &Response| matches!(shown, Response::Acl { .. });
    change(history, nth, form, |stat| stat.aversion += 1)
}

pub fn count_beside_children(history: &mut History, nth: usize) -> Option<()> {
    let form = |shown: &Response| matches!(shown, Response::Children { .. });
    change(history, nth, form, |stat| stat.num_children += 1)
}

/// An ephemeral is shown as if it were none.
pub fn no_owner(history: &mut History, nth: usize) -> Option<()> {
    let form = |shown: &Response| match shown {
        Response::Exists(stat) | Response::Data { stat, .. } => stat.ephemeral_owner != 0,
        _ => false,
    };
    change(history, nth, form, |stat| stat.ephemeral_owner = 0)
}

/// A create that is told with its Stat is told a wrong one.
pub fn of_create(history: &mut History, nth: usize) -> Option<()> {
    let fits = |_: &Request, result: &Result<Response, Code>| match result {
        Ok(Response::Done(Done::Created { stat, .. })) => *stat != Stat::default(),
        _ => false,
    };
    edit(history, nth, fits, |result| {
        if let Ok(Response::Done(Done::Created { stat, .. })) = result {
            stat.version += 1;
        }
    })
}
