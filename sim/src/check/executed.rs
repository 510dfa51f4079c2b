//! What a client is told of its write, and whether it executed.

use althing_core::code::Code;

use crate::check::findings::Findings;
use crate::check::log::Agreed;
use crate::check::wire::{Asked, Link};
use crate::telling::requested;

/// Codes that tell a client that its write was not executed at all.
pub fn undone(code: &Code) -> bool {
    matches!(
        code,
        Code::SystemError | Code::SessionMoved | Code::SessionExpired | Code::ThrottledOp
    )
}

/// What the client was told of its write that executed, and when.
pub fn told(agreed: &Agreed, link: &Link<'_>, asked: &Asked<'_>, findings: &mut Findings) {
    let (session, client, zxid) = (link.session(), link.client, agreed.zxid);
    if asked.at > agreed.saved_at {
        findings.add("W1 linearizable", asked.at, session, || {
            format!("{zxid} of {client} was saved before it was sent")
        });
    }
    let Some(answer) = asked.answer else { return };
    match answer.result {
        Ok(_) if answer.zxid != zxid => findings.add("W5 once", answer.at, session, || {
            let (request, shown) = (requested(asked.request), answer.zxid);
            format!("{request} of {client} executed at {zxid}, but {shown} was told")
        }),
        Err(code) if undone(code) => findings.add("W2 result", answer.at, session, || {
            format!("{client} was told {code} of {zxid}, which executed")
        }),
        _ => {}
    }
}
