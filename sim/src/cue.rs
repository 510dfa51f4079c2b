//! When a fault falls: at a time, on something that happens, or after the fault before it.

use serde::{Deserialize, Serialize};

use crate::span::Span;

/// When a fault falls.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "CueKeys", into = "CueKeys")]
pub enum Cue {
    /// At this time of the run.
    At {
        /// Since the beginning.
        at: Span,
    },
    /// When something has happened.
    On {
        /// The name of an event of a server or of a mark of the workload.
        on: String,
        /// The how manieth time; counts from 1.
        nth: u32,
        /// How long after it.
        after: Span,
    },
    /// When the fault that stands before this one in the plan has fallen.
    Then {
        /// How long after it.
        then: Span,
    },
}

/// The keys of a cue as they are written.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CueKeys {
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nth: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    then: Option<Span>,
}

impl TryFrom<CueKeys> for Cue {
    type Error = &'static str;

    fn try_from(keys: CueKeys) -> Result<Cue, Self::Error> {
        let plain = keys.nth.is_none() && keys.after.is_none();
        match (keys.at, keys.on, keys.then) {
            (Some(at), None, None) if plain => Ok(Cue::At { at }),
            (None, None, Some(then)) if plain => Ok(Cue::Then { then }),
            (None, Some(on), None) => Ok(Cue::On {
                on,
                nth: keys.nth.unwrap_or(1),
                after: keys.after.unwrap_or_default(),
            }),
            (None, None, None) => Err("a cue needs one of `at`, `on` and `then`"),
            (_, None, _) if !plain => Err("`nth` and `after` belong to a cue with `on`"),
            _ => Err("a cue has only one of `at`, `on` and `then`"),
        }
    }
}

impl From<Cue> for CueKeys {
    fn from(cue: Cue) -> CueKeys {
        match cue {
            Cue::At { at } => CueKeys {
                at: Some(at),
                ..CueKeys::default()
            },
            Cue::On { on, nth, after } => CueKeys {
                on: Some(on),
                nth: (nth != 1).then_some(nth),
                after: (after != Span::default()).then_some(after),
                ..CueKeys::default()
            },
            Cue::Then { then } => CueKeys {
                then: Some(then),
                ..CueKeys::default()
            },
        }
    }
}
