//! Turns one life of a server, as its shell sees it, into what the record holds: what it saves,
//! takes back and finds durable, what it votes, what it lets know.

use std::collections::VecDeque;

use althing_core::ids::{ServerId, Ticket, Zxid};
use althing_core::node::effect::Effect;
use althing_core::node::input::Input;
use althing_core::node::node::Recovered;
use althing_core::quorum::log::{Ballot, Record};

use crate::history::What;

/// What a save is about that has no answer yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Saving {
    Ballot(Ballot),
    Entry(Zxid),
    Cut(Zxid),
}

/// Watches one life of one server.
#[derive(Clone, Debug)]
pub struct Witness {
    server: ServerId,
    /// Saves that are not answered, the oldest first.
    saving: VecDeque<(Ticket, Saving)>,
}

/// What a server found at its start.
pub fn recovered(server: ServerId, recovered: &Recovered) -> What {
    What::Recovered {
        server,
        directory: recovered.directory,
        ballot: recovered.ballot,
        snapshot: recovered.store.applied(),
        entries: recovered.entries.iter().cloned().collect(),
    }
}

impl Witness {
    /// Of a life that begins.
    pub fn new(server: ServerId) -> Witness {
        let saving = VecDeque::new();
        Witness { server, saving }
    }

    /// Something happened to the server; it has not acted on it yet.
    pub fn input(&mut self, input: &Input, mut record: impl FnMut(What)) {
        let server = self.server;
        match input {
            Input::Asked { connection, .. } => record(What::Asked {
                server,
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
                    record(What::Refused { server, zxid });
                }
            }
            _ => {}
        }
    }

    /// The answer to a save stands for those before it, too.
    fn saved(&mut self, ticket: Ticket, mut record: impl FnMut(What)) {
        let server = self.server;
        let mut durable = None;
        while let Some((asked, saving)) = self.saving.front().copied() {
            if asked.number > ticket.number {
                break;
            }
            self.saving.pop_front();
            match saving {
                Saving::Ballot(ballot) => record(What::Voted { server, ballot }),
                Saving::Entry(zxid) => durable = Some(zxid),
                // What was saved before a cut, and is after it, is gone.
                Saving::Cut(after) => durable = durable.map(|zxid: Zxid| zxid.min(after)),
            }
        }
        if let Some(zxid) = durable {
            record(What::Durable { server, zxid });
        }
    }

    /// The server wants something done.
    pub fn effect(&mut self, effect: &Effect, mut record: impl FnMut(What)) {
        let server = self.server;
        match effect {
            Effect::Save {
                ticket,
                record: saved,
            } => {
                let saving = match saved {
                    Record::Ballot(ballot) => Saving::Ballot(*ballot),
                    Record::Entry(entry) => {
                        record(What::Saving {
                            server,
                            zxid: entry.zxid,
                            txn: entry.txn.clone(),
                        });
                        Saving::Entry(entry.zxid)
                    }
                    Record::Cut(after) => {
                        self.cut(*after);
                        record(What::Cut {
                            server,
                            after: *after,
                        });
                        Saving::Cut(*after)
                    }
                };
                self.saving.push_back((*ticket, saving));
            }
            Effect::Note(event) => record(What::Said {
                server,
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
