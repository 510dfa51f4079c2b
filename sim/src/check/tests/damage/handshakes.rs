//! Damage to first frames and their answers: what a session is given, and what the log says of it.

use althing_core::ids::{Password, Zxid};
use althing_core::store::txn::Action;

use crate::check::tests::damage::living::{Asks, first_frame, handshake};
use crate::check::tests::damage::places::change_txn;
use crate::history::{History, Received, What};

/// A client wishes for more than there is, and is told what it was told.
pub fn wish_granted(history: &mut History, nth: usize) -> Option<()> {
    first_frame(history, nth, Asks::Anew)?.timeout_ms = 1_000_000;
    Some(())
}

/// The log gives a session another time-out than its client is told.
pub fn other_timeout_in_the_log(history: &mut History, nth: usize) -> Option<()> {
    let session = handshake(history, nth, Asks::Anew)?.1.session?;
    change_txn(history, Zxid::from_wire(session.0), |txn| {
        if let Action::OpenSession { timeout_ms, .. } = &mut txn.action {
            *timeout_ms += 1_000;
        }
    });
    Some(())
}

pub fn other_password(history: &mut History, nth: usize) -> Option<()> {
    handshake(history, nth, Asks::Anew)?.1.password = Password([9; 16]);
    Some(())
}

pub fn garbage_for_a_session(history: &mut History, nth: usize) -> Option<()> {
    let (place, _) = handshake(history, nth, Asks::Anew)?;
    if let What::Received { frame, .. } = &mut history.moments[place].what {
        *frame = Received::Garbage("a first frame that ends too early".to_owned());
    }
    Some(())
}
