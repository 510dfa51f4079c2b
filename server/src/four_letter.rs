//! ZooKeeper's four-letter words: what operators and their tools ask on the client port.
//!
//! All of them are answered to everybody: what they tell is open to every client anyway, save for
//! the names of znodes, and none of them changes anything.

use std::fmt;

use tokio::sync::oneshot;

use crate::admission::Admission;
use crate::gossip::{Inquiry, Survey};
use crate::gossip_reports;
use crate::limits::{Limits, QUERY_MAX};
use crate::mail::{Mailbox, Message, View};
use crate::reports::{self, Described};
use crate::shell::Shell;

/// The version that we tell: tools read the release of ZooKeeper whose behaviour they can expect
/// from the front of it.
const VERSION: &str = concat!("3.9.5-althing-", env!("CARGO_PKG_VERSION"));

/// What ZooKeeper says when it cannot answer.
const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests\n";

/// What `peers` says where nobody gossips.
const NO_GOSSIP: &str = "This server does not gossip: it is on its own, or has no gossip secret\n";

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident = $letters:literal,)*) => {
        /// A word that we answer, or know that we do not.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Word {
            $($(#[$doc])* $name,)*
            /// Four letters that are no word of ours.
            Other([u8; 4]),
        }

        impl Word {
            /// The word that `letters` are; `None` if they are not four lower-case letters. No
            /// frame begins so: its length would be more than 1.6 GB.
            pub fn parse(letters: [u8; 4]) -> Option<Word> {
                match &letters {
                    $($letters => Some(Word::$name),)*
                    _ if letters.iter().all(u8::is_ascii_lowercase) => Some(Word::Other(letters)),
                    _ => None,
                }
            }
        }
    };
}

words! {
    /// Are you ok?
    Ruok = b"ruok",
    /// The server in short.
    Srvr = b"srvr",
    /// The server and its clients in short.
    Stat = b"stat",
    /// The server in keys and values.
    Mntr = b"mntr",
    /// Is it read-only?
    Isro = b"isro",
    /// Its configuration.
    Conf = b"conf",
    /// Its clients at length.
    Cons = b"cons",
    /// Sessions and ephemeral znodes.
    Dump = b"dump",
    /// Watches in short.
    Wchs = b"wchs",
    /// Watches by connection.
    Wchc = b"wchc",
    /// Watches by path.
    Wchp = b"wchp",
    /// The process.
    Envi = b"envi",
    /// The servers of the ensemble, as gossip knows them. ZooKeeper has no such word, and it may
    /// have a fifth letter: what follows the fourth is not looked at.
    Peer = b"peer",
}

/// Answers four-letter words.
#[derive(Debug)]
pub struct FourLetters {
    described: Described,
    limits: Limits,
    admission: Admission,
    inquiry: Option<Inquiry>,
}

impl FourLetters {
    /// Answers for the server that is described; what gossip knows is asked through `inquiry`.
    pub fn new(
        described: Described,
        limits: Limits,
        admission: Admission,
        inquiry: Option<Inquiry>,
    ) -> FourLetters {
        FourLetters {
            described,
            limits,
            admission,
            inquiry,
        }
    }

    /// The answer to `word`.
    pub async fn answer(&self, word: Word, shell: &impl Shell, mailbox: &Mailbox) -> String {
        let connections = self.admission.count();
        let own = self.described.config.server;
        let report: Report = match word {
            Word::Ruok => return "imok".to_owned(),
            Word::Conf => return written(|out| reports::conf(&self.described, &self.limits, out)),
            Word::Envi => return written(|out| reports::envi(VERSION, &self.described, out)),
            Word::Other(letters) => {
                let letters = String::from_utf8_lossy(&letters).into_owned();
                return format!("{letters} is not executed because it is not in the whitelist.\n");
            }
            Word::Srvr => Box::new(move |view, out| reports::srvr(view, VERSION, connections, out)),
            Word::Stat => Box::new(move |view, out| reports::stat(view, VERSION, connections, out)),
            Word::Peer => {
                return match self.survey(shell).await {
                    Some(survey) => written(|out| gossip_reports::peers(&survey, own, out)),
                    None => NO_GOSSIP.to_owned(),
                };
            }
            Word::Mntr => {
                let descriptors = shell.descriptors();
                let survey = self.survey(shell).await;
                Box::new(move |view, out| {
                    reports::mntr(view, VERSION, connections, out)?;
                    gossip_reports::mntr(survey.as_ref(), own, out)?;
                    reports::descriptors(descriptors, out)
                })
            }
            Word::Isro => Box::new(reports::isro),
            Word::Cons => Box::new(reports::cons),
            Word::Dump => Box::new(reports::dump),
            Word::Wchs => Box::new(reports::wchs),
            Word::Wchc => Box::new(reports::wchc),
            Word::Wchp => Box::new(reports::wchp),
        };
        look(report, shell, mailbox).await
    }

    /// What gossip knows; `None` where there is none.
    async fn survey(&self, shell: &impl Shell) -> Option<Survey> {
        let inquiry = self.inquiry.as_ref()?;
        in_time(inquiry.ask(), shell).await
    }
}

type Report = Box<dyn FnOnce(&View<'_>, &mut String) -> fmt::Result + Send>;

/// What `report` writes about the node between two of its steps.
async fn look(report: Report, shell: &impl Shell, mailbox: &Mailbox) -> String {
    let (told, answer) = oneshot::channel();
    mailbox.send(Message::Query(Box::new(move |view| {
        // Whoever asked may have left.
        let _ = told.send(written(|out| report(view, out)));
    })));
    let answer = in_time(answer, shell).await;
    answer.unwrap_or_else(|| NOT_SERVING.to_owned())
}

/// The answer, unless it takes too long or never comes.
async fn in_time<T>(answer: oneshot::Receiver<T>, shell: &impl Shell) -> Option<T> {
    let deadline = shell.now().clock.after(QUERY_MAX);
    tokio::select! {
        biased;
        answer = answer => answer.ok(),
        () = shell.sleep_until(deadline) => None,
    }
}

fn written(write: impl FnOnce(&mut String) -> fmt::Result) -> String {
    let mut text = String::new();
    write(&mut text).expect("writing into a string does not fail");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_known_unknown_or_none() {
        assert_eq!(Word::parse(*b"ruok"), Some(Word::Ruok));
        assert_eq!(Word::parse(*b"crst"), Some(Word::Other(*b"crst")));
        for frame in [44_u32, 45, 1024] {
            assert_eq!(Word::parse(frame.to_be_bytes()), None);
        }
        assert_eq!(Word::parse(*b"GET "), None);
    }
}
