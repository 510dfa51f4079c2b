//! The recorder of a run: its history, its digest, its counts, and the acts that wait for a cue.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use althing_core::node::event::Event;
use xxhash_rust::xxh3::Xxh3;

use crate::backstage::{Backstage, Behind, DEEDS_MAX, Deed, Recording};
use crate::history::{History, LinkId, Moment, Received, Sent, Violation, What};
use crate::world::agenda::Agenda;

/// What shall be done when something has happened for the how manieth time.
struct Cue {
    name: String,
    left: u32,
    after: Duration,
    act: Box<dyn FnOnce() + Send>,
}

/// Looks at every moment as it is written; the rule that it sees broken, and how.
pub type Watcher = Box<dyn FnMut(&Moment) -> Result<(), (&'static str, String)> + Send>;

struct Book {
    history: History,
    backstage: Backstage,
    watchers: Vec<Watcher>,
    digest: Xxh3,
    counts: BTreeMap<&'static str, u64>,
    violations: Vec<Violation>,
    cues: Vec<Cue>,
    links: u64,
    scratch: String,
}

/// A handle; all clones write into the same book.
#[derive(Clone)]
pub struct Recorder {
    agenda: Agenda,
    recording: Recording,
    book: Arc<Mutex<Book>>,
}

/// What a run leaves behind.
pub struct Recorded {
    /// Everything that happened.
    pub history: History,
    /// What went on behind it, if that was to be recorded.
    pub backstage: Backstage,
    /// Of everything that happened.
    pub digest: u128,
    /// How often what happened, by name of event, mark or fault.
    pub counts: BTreeMap<String, u64>,
    /// The rules that the world itself saw broken.
    pub violations: Vec<Violation>,
}

impl Recorder {
    /// An empty one, on the clock of `agenda`.
    pub fn new(agenda: Agenda, recording: Recording) -> Recorder {
        Recorder {
            agenda,
            recording,
            book: Arc::new(Mutex::new(Book {
                history: History::default(),
                backstage: Backstage::default(),
                watchers: Vec::new(),
                digest: Xxh3::new(),
                counts: BTreeMap::new(),
                violations: Vec::new(),
                cues: Vec::new(),
                links: 0,
                scratch: String::new(),
            })),
        }
    }

    /// Writes down that `what` happened now.
    pub fn record(&self, what: What) {
        self.record_frame(what, &[]);
    }

    /// As [`Recorder::record`], for a frame whose bytes stand for it in the digest.
    pub fn record_frame(&self, what: What, bytes: &[u8]) {
        let mut book = self.book();
        book.write(&self.agenda, what, bytes);
        if !book.watchers.is_empty() {
            self.show(book);
        }
    }

    /// Shows every moment from now on to `watcher`, until it sees a rule broken. What it records
    /// itself is shown to nobody.
    pub fn watch(&self, watcher: Watcher) {
        self.book().watchers.push(watcher);
    }

    /// Shows the last moment to the watchers, who may record and watch in turn.
    fn show(&self, mut book: MutexGuard<'_, Book>) {
        let moment = book
            .history
            .moments
            .last()
            .expect("one was written")
            .clone();
        let mut watchers = std::mem::take(&mut book.watchers);
        drop(book);
        watchers.retain_mut(|watcher| match watcher(&moment) {
            Ok(()) => true,
            Err((invariant, detail)) => {
                self.violate(invariant, detail);
                false
            }
        });
        let mut book = self.book();
        watchers.append(&mut book.watchers);
        book.watchers = watchers;
    }

    /// Writes down what was done backstage, if that is recorded. The digest knows nothing of it.
    pub fn record_deed(&self, deed: Deed) {
        if self.recording == Recording::Stage {
            return;
        }
        let at = self.agenda.now();
        let mut book = self.book();
        if book.backstage.deeds.len() < DEEDS_MAX {
            let after = book.history.moments.len();
            book.backstage.deeds.push(Behind { at, after, deed });
        }
    }

    /// Writes down that a rule was broken.
    pub fn violate(&self, invariant: &'static str, detail: String) {
        let at = self.agenda.now();
        let mut book = self.book();
        book.digest.update(detail.as_bytes());
        book.violations.push(Violation {
            invariant,
            at,
            detail,
            session: None,
        });
    }

    /// A number for a new stream.
    pub fn next_link(&self) -> LinkId {
        let mut book = self.book();
        book.links += 1;
        LinkId(book.links)
    }

    /// Does `act` a while `after` `name` has happened for the `nth` time from now on.
    pub fn cue(&self, name: &str, nth: u32, after: Duration, act: impl FnOnce() + Send + 'static) {
        self.book().cues.push(Cue {
            name: name.to_owned(),
            left: nth.max(1),
            after,
            act: Box::new(act),
        });
    }

    /// How often `name` has happened.
    pub fn count(&self, name: &str) -> u64 {
        self.book().counts.get(name).copied().unwrap_or(0)
    }

    /// Takes what was recorded.
    pub fn finish(&self) -> Recorded {
        let mut book = self.book();
        book.cues.clear();
        book.watchers.clear();
        let counts = std::mem::take(&mut book.counts);
        Recorded {
            history: std::mem::take(&mut book.history),
            backstage: std::mem::take(&mut book.backstage),
            digest: book.digest.digest128(),
            counts: counts
                .into_iter()
                .map(|(name, count)| (name.to_owned(), count))
                .collect(),
            violations: std::mem::take(&mut book.violations),
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("no panic within the recorder")
    }
}

impl Book {
    fn write(&mut self, agenda: &Agenda, what: What, bytes: &[u8]) {
        let at = agenda.now();
        self.digest(at, &what, bytes);
        if let Some(name) = name_of(&what) {
            *self.counts.entry(name).or_default() += 1;
            for cue in self.cues.extract_if(.., |cue| cue.hears(name)) {
                agenda.at(at + cue.after, cue.act);
            }
        }
        self.history.moments.push(Moment { at, what });
    }

    /// The digest takes every moment in a notation that does not depend on how this program was
    /// built: frames by their bytes, transactions by their position, the rest as debug text.
    fn digest(&mut self, at: Duration, what: &What, bytes: &[u8]) {
        let nanos = at.as_nanos() as u64;
        self.digest.update(&nanos.to_le_bytes());
        let (kind, who, number) = match what {
            What::Sent { client, link, .. } => (b's', &client[..], link.0),
            What::Received {
                client,
                link,
                frame,
            } => {
                if let Received::Garbage(why) = frame {
                    self.digest.update(why.as_bytes());
                }
                (b'r', &client[..], link.0)
            }
            What::Saving { server, zxid, .. } => (b'w', "", zxid.0 ^ u64::from(server.0) << 56),
            What::Durable { server, zxid } => (b'd', "", zxid.0 ^ u64::from(server.0) << 56),
            What::Asked { server, connection } => {
                (b'a', "", connection.0 ^ u64::from(server.0) << 56)
            }
            What::Recovered {
                server,
                directory,
                ballot,
                snapshot,
                entries,
            } => {
                self.digest.update(&directory.0.to_le_bytes());
                self.digest.update(&ballot.epoch.0.to_le_bytes());
                self.digest.update(&snapshot.0.to_le_bytes());
                for entry in entries.iter() {
                    self.digest.update(&entry.zxid.0.to_le_bytes());
                }
                (b'v', "", u64::from(server.0))
            }
            other => {
                self.scratch.clear();
                put_debug(&mut self.scratch, other);
                self.digest.update(self.scratch.as_bytes());
                (b'o', "", 0)
            }
        };
        self.digest.update(&[kind]);
        self.digest.update(&number.to_le_bytes());
        self.digest.update(who.as_bytes());
        self.digest.update(bytes);
    }
}

/// Writes the debug text of a moment.
fn put_debug(text: &mut String, what: &What) {
    let written = match what {
        // By far the most frequent one, without the detour over each of its fields.
        What::Said {
            server,
            event: Event::Executed { zxid, digest },
        } => write!(
            text,
            "Said {{ server: {server:?}, event: Executed {{ zxid: {zxid:?}, digest: {digest} }} }}"
        ),
        other => write!(text, "{other:?}"),
    };
    written.expect("text can always be written");
}

impl Cue {
    /// Was this the last time that it waited for?
    fn hears(&mut self, name: &str) -> bool {
        if self.name == name {
            self.left -= 1;
        }
        self.left == 0
    }
}

/// The name by which scenarios cue on and count a moment.
pub fn name_of(what: &What) -> Option<&'static str> {
    match what {
        What::Said { event, .. } => Some(event.name()),
        What::Mark { name, .. } => Some(name),
        What::Struck { kind, .. } => Some(kind),
        What::Stopped { .. } => Some("stopped"),
        What::Started { .. } => Some("started"),
        What::Killed { .. } => Some("killed"),
        What::Recovered { .. } => Some("recovered"),
        What::DiskLost { .. } => Some("disk-lost"),
        What::SetBack { .. } => Some("set-back"),
        What::LinkOpened { .. } => Some("link-opened"),
        What::LinkEnded { .. } => Some("link-ended"),
        What::Guarded {
            accepted: false, ..
        } => Some("token-refused"),
        What::Sent {
            frame: Sent::Connect(_),
            ..
        } => Some("connect-sent"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use althing_core::ids::{ServerId, Zxid};

    use super::*;

    #[test]
    fn the_short_way_to_a_debug_text_leads_to_the_same() {
        for (number, digest) in [(1, 0), (7, 12_345), (255, u128::MAX)] {
            let what = What::Said {
                server: ServerId(number),
                event: Event::Executed {
                    zxid: Zxid((3 << 32) + u64::from(number)),
                    digest,
                },
            };
            let mut text = String::new();
            put_debug(&mut text, &what);
            assert_eq!(text, format!("{what:?}"));
        }
    }
}
