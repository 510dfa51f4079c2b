//! Damage to who is let read, and who is let write.

use althing_core::code::Code;

use crate::check::tests::damage::living::{Asks, first_frame, handshake};
use crate::check::tests::damage::places::{edit, is_write};
use crate::history::History;

pub fn refused(history: &mut History, nth: usize) -> Option<()> {
    edit(
        history,
        nth,
        |request, _| is_write(request),
        |result| *result = Err(Code::NotReadOnly),
    )
}

pub fn unasked(history: &mut History, nth: usize) -> Option<()> {
    handshake(history, nth, Asks::Again)?.1.read_only = Some(true);
    Some(())
}

/// A server is said to have no leader, and everything on one of its links stays as it was.
pub fn writes(history: &mut History, nth: usize) -> Option<()> {
    first_frame(history, nth, Asks::Again)?.read_only = Some(true);
    unasked(history, nth)
}

pub fn agreed_session(history: &mut History, nth: usize) -> Option<()> {
    first_frame(history, nth, Asks::Anew)?.read_only = Some(true);
    handshake(history, nth, Asks::Anew)?.1.read_only = Some(true);
    Some(())
}

pub fn for_ever(history: &mut History, nth: usize) -> Option<()> {
    // Its client has it for long, and nobody is disturbed.
    match nth % 2 {
        0 => writes(history, nth / 2),
        _ => agreed_session(history, nth / 2),
    }
}
