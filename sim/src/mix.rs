//! The figures of the random mixture, the story whose clients do everything that there is.

use serde::{Deserialize, Serialize};

use crate::span::Span;

/// The figures of the random mixture.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mix {
    /// How many clients.
    pub clients: u32,
    /// How long a client rests between two requests, at most.
    pub rest: Span,
    /// How many znodes they share.
    pub znodes: u32,
    /// The session time-out that everybody asks for.
    pub session: Span,
    /// How many of a hundred requests are of the rarer kinds: watches that stay, reads of
    /// several znodes, counts.
    #[serde(default, skip_serializing_if = "is_none")]
    pub rare: u32,
    /// How often a client more, the governor, wishes for other members; without it, none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wishes: Option<Span>,
    /// How often a client more, the warden, changes quotas on the shared znodes; without it,
    /// there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quotas: Option<Span>,
    /// How many of the clients take a server that has no leader, and only lets them read.
    #[serde(default, skip_serializing_if = "is_none")]
    pub readers: u32,
    /// How many of the clients prove by SASL who they are; with any, a stranger guesses passwords.
    #[serde(default, skip_serializing_if = "is_none")]
    pub proven: u32,
    /// How often a client more, the thief, tries to get into others' sessions; without it, none
    /// does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thief: Option<Span>,
}

fn is_none(count: &u32) -> bool {
    *count == 0
}
