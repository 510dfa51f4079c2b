//! Judges a run by its traces: everything that the simulator's checkers know, but for what only
//! holds when nothing disturbs the servers, since nobody knows what befell them.

use althing_core::ids::SessionId;
use althing_core::node::reply::{ConnectResponse, Reply};

use crate::check::traced;
use crate::history::{Received, Violation, What};
use crate::traces::merge::Merged;

/// What a run was like, for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Transactions that somebody executed.
    pub agreed: usize,
    /// Answers that clients got.
    pub answers: usize,
    /// Epochs that were opened.
    pub epochs: usize,
    /// Lives of servers.
    pub lives: usize,
    /// Connections of clients.
    pub links: usize,
    /// How many of them were served in a session of one server alone.
    pub local: usize,
}

/// The rules that were broken, the first first; and what the run was like.
pub fn judge(merged: &Merged) -> (Vec<Violation>, Figures) {
    let judged = traced::check(&merged.founders, merged.tick, &merged.history);
    let mut broken = judged.broken;
    broken.extend(merged.violations.iter().cloned());
    broken.sort_by_key(|violation| violation.at);
    let mut figures = Figures {
        agreed: judged.log.agreed.len(),
        epochs: judged
            .log
            .agreed
            .iter()
            .filter(|agreed| agreed.zxid.counter() == 0)
            .count(),
        ..Figures::default()
    };
    for moment in &merged.history.moments {
        match &moment.what {
            What::Started { .. } => figures.lives += 1,
            What::LinkOpened { .. } => figures.links += 1,
            What::Received {
                frame: Received::Reply {
                    request: Some(_), ..
                },
                ..
            } => figures.answers += 1,
            What::Received {
                frame:
                    Received::Connected(response)
                    | Received::Reply {
                        reply: Reply::Connected(response),
                        ..
                    },
                ..
            } if is_local(response) => figures.local += 1,
            _ => {}
        }
    }
    (broken, figures)
}

fn is_local(response: &ConnectResponse) -> bool {
    response.read_only != Some(true) && response.session.is_some_and(SessionId::is_local)
}
