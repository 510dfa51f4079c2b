//! Turns one life of a server, as its shell sees it, into deeds: what it recovers, saves, takes
//! back and finds durable, what it votes, what it lets know. The simulator's record is made of
//! them, and so is a trace of a real server; the same checkers judge both.

use std::collections::VecDeque;
use std::sync::Arc;

use althing_core::ids::{ConnectionId, DirectoryId, Ticket, Zxid};
use althing_core::node::effect::Effect;
use althing_core::node::event::Event;
use althing_core::node::input::Input;
use althing_core::node::node::Recovered;
use althing_core::quorum::log::{Ballot, Record};
use althing_core::store::txn::{Entry, Txn};

/// One thing that a server did or learned, as far as the protocol is concerned.
#[derive(Clone, PartialEq, Debug)]
pub enum Deed {
    /// It finished its recovery.
    Recovered {
        /// Its data directory: another one than before if its disk was lost.
        directory: DirectoryId,
        /// The ballot that it found.
        ballot: Ballot,
        /// The position of the snapshot that it found.
        snapshot: Zxid,
        /// What its log holds after the snapshot.
        entries: Arc<[Entry]>,
    },
    /// It asked its storage to save a transaction.
    Saving {
        /// Where.
        zxid: Zxid,
        /// What.
        txn: Arc<Txn>,
    },
    /// It asked its storage to take back what follows a position: it was never agreed. From here
    /// on it may be gone.
    Cut {
        /// The last position that stays.
        after: Zxid,
    },
    /// Its storage had no space: its log ends before this position, which it was asked to save.
    Refused {
        /// Where.
        zxid: Zxid,
    },
    /// It learned that its log is durable up to here.
    Durable {
        /// Where.
        zxid: Zxid,
    },
    /// It learned that its ballot is durable.
    Voted {
        /// What it holds.
        ballot: Ballot,
    },
    /// It handed a client's frame to its node.
    Asked {
        /// On which of its connections.
        connection: ConnectionId,
    },
    /// It let know.
    Said {
        /// What.
        event: Event,
    },
}

/// What a save is about that has no answer yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Saving {
    Ballot(Ballot),
    Entry(Zxid),
    Cut(Zxid),
}

/// Watches one life of one server.
#[derive(Clone, Debug, Default)]
pub struct Witness {
    /// Saves that are not answered, the oldest first.
    saving: VecDeque<(Ticket, Saving)>,
}

/// What a server found at its start.
pub fn recovered(recovered: &Recovered) -> Deed {
    Deed::Recovered {
        directory: recovered.directory,
        ballot: recovered.ballot,
        snapshot: recovered.store.applied(),
        entries: recovered.entries.iter().cloned().collect(),
    }
}

impl Witness {
    /// Something happened to the server; it has not acted on it yet.
    pub fn input(&mut self, input: &Input, mut record: impl FnMut(Deed)) {
        match input {
            Input::Asked { connection, .. } => record(Deed::Asked {
                connection: *connection,
            }),
            Input::Saved(ticket) => self.saved(*ticket, record),
            Input::Refused(ticket) => {
                let refused = self.saving.front().copied();
                let Some((_, saving)) = refused.filter(|(asked, _)| asked == ticket) else {
                    return;
                };
                self.saving.pop_front();
                if let Saving::Entry(zxid) = saving {
                    record(Deed::Refused { zxid });
                }
            }
            _ => {}
        }
    }

    /// The answer to a save stands for those before it, too.
    fn saved(&mut self, ticket: Ticket, mut record: impl FnMut(Deed)) {
        let mut durable = None;
        while let Some((asked, saving)) = self.saving.front().copied() {
            if asked.number > ticket.number {
                break;
            }
            self.saving.pop_front();
            match saving {
                Saving::Ballot(ballot) => record(Deed::Voted { ballot }),
                Saving::Entry(zxid) => durable = Some(zxid),
                // What was saved before a cut, and is after it, is gone.
                Saving::Cut(after) => durable = durable.map(|zxid: Zxid| zxid.min(after)),
            }
        }
        if let Some(zxid) = durable {
            record(Deed::Durable { zxid });
        }
    }

    /// The server wants something done.
    pub fn effect(&mut self, effect: &Effect, mut record: impl FnMut(Deed)) {
        match effect {
            Effect::Save {
                ticket,
                record: saved,
            } => {
                let saving = match saved {
                    Record::Ballot(ballot) => Saving::Ballot(*ballot),
                    Record::Entry(entry) => {
                        record(Deed::Saving {
                            zxid: entry.zxid,
                            txn: entry.txn.clone(),
                        });
                        Saving::Entry(entry.zxid)
                    }
                    Record::Cut(after) => {
                        self.cut(*after);
                        record(Deed::Cut { after: *after });
                        Saving::Cut(*after)
                    }
                };
                self.saving.push_back((*ticket, saving));
            }
            Effect::Note(event) => record(Deed::Said {
                event: event.clone(),
            }),
            _ => {}
        }
    }

    /// What waits to be saved and is after a cut will be gone: its answer shows nothing durable.
    fn cut(&mut self, after: Zxid) {
        for (_, saving) in &mut self.saving {
            if let Saving::Entry(zxid) = *saving
                && zxid > after
            {
                *saving = Saving::Cut(after);
            }
        }
    }
}
