//! ZooKeeper's four-letter words: what operators and their tools ask on the client port.
//!
//! Nobody has to say who he is, so what looks at everything, tells the names of znodes, or changes
//! something is answered only where the configuration lists it ([`Whitelist`]).

use std::fmt;

use crate::desk::Desk;
use crate::figures::{self, Figures};
use crate::gossip_reports;
use crate::mail::{Counters, View};
use crate::quota_reports;
use crate::reports;
use crate::shell::Shell;
use crate::words::{Whitelist, Word};

/// The version that we tell: tools read the release of ZooKeeper whose behaviour they can expect
/// from the front of it.
pub const VERSION: &str = concat!("3.9.5-althing-", env!("CARGO_PKG_VERSION"));

/// What ZooKeeper says when it cannot answer.
pub const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests\n";

/// What `peers` says where nobody gossips.
const NO_GOSSIP: &str = "This server does not gossip: it is on its own, or has no gossip secret\n";

/// Answers four-letter words.
#[derive(Debug)]
pub struct FourLetters {
    desk: Desk,
    whitelist: Whitelist,
}

impl FourLetters {
    /// Answers the words of the list at `desk`.
    pub fn new(desk: Desk, whitelist: Whitelist) -> FourLetters {
        FourLetters { desk, whitelist }
    }

    /// The answer to `word`.
    pub async fn answer(&self, word: Word, shell: &impl Shell) -> String {
        if !self.whitelist.has(word) {
            let letters = String::from_utf8_lossy(&word.letters()).into_owned();
            return format!("{letters} is not executed because it is not in the whitelist.\n");
        }
        let desk = &self.desk;
        let (described, limits) = (&desk.described, &desk.limits);
        let connections = desk.connections();
        let report: Report = match word {
            Word::Ruok => return "imok".to_owned(),
            Word::Conf => return written(|out| reports::conf(described, limits, out)),
            Word::Envi => return written(|out| reports::envi(VERSION, described, out)),
            Word::Mntr => return self.mntr(shell).await,
            Word::Peer => return self.peers(shell).await,
            Word::Dirs => {
                let usage = shell.usage(&described.data_dir).unwrap_or_default();
                return written(|out| reports::dirs(&usage, out));
            }
            Word::Srst => {
                desk.reset(Counters::OfServer);
                return "Server stats reset.\n".to_owned();
            }
            Word::Crst => {
                desk.reset(Counters::OfClients);
                return "Connection stats reset.\n".to_owned();
            }
            Word::Srvr => Box::new(move |view, out| reports::srvr(view, VERSION, connections, out)),
            Word::Stat => Box::new(move |view, out| reports::stat(view, VERSION, connections, out)),
            Word::Isro => Box::new(reports::isro),
            Word::Cons => Box::new(reports::cons),
            Word::Dump => Box::new(reports::dump),
            Word::Wchs => Box::new(reports::wchs),
            Word::Wchc => Box::new(reports::wchc),
            Word::Wchp => Box::new(reports::wchp),
            Word::Hash => Box::new(reports::hash),
            Word::Other(_) => unreachable!("no list has it"),
        };
        let looked = desk
            .look(shell, |view| written(|out| report(view, out)))
            .await;
        looked.unwrap_or_else(|| NOT_SERVING.to_owned())
    }

    async fn mntr(&self, shell: &impl Shell) -> String {
        match figures(&self.desk, shell).await {
            Some(figures) => written(|out| reports::mntr(&figures, out)),
            None => NOT_SERVING.to_owned(),
        }
    }

    async fn peers(&self, shell: &impl Shell) -> String {
        let own = self.desk.described.config.server;
        match self.desk.survey(shell).await {
            Some(survey) => written(|out| gossip_reports::peers(&survey, own, out)),
            None => NO_GOSSIP.to_owned(),
        }
    }
}

/// Everything that is counted and measured; `None` if the server does not answer.
pub async fn figures(desk: &Desk, shell: &impl Shell) -> Option<Figures> {
    let connections = desk.connections();
    let own = desk.described.config.server;
    let descriptors = shell.descriptors();
    let usage = shell.usage(&desk.described.data_dir);
    let survey = desk.survey(shell).await;
    let looked = desk.look(shell, move |view| {
        let mut all = figures::of_server(view, VERSION, connections);
        let tree = view.node.store().tree();
        all.extend(quota_reports::figures(tree, view.namespaces));
        all
    });
    let mut all = looked.await?;
    all.extend(gossip_reports::figures(survey.as_ref(), own));
    all.extend(figures::of_process(descriptors, usage.as_ref()));
    Some(all)
}

type Report = Box<dyn FnOnce(&View<'_>, &mut String) -> fmt::Result + Send>;

fn written(write: impl FnOnce(&mut String) -> fmt::Result) -> String {
    let mut text = String::new();
    write(&mut text).expect("writing into a string does not fail");
    text
}
