//! The store on which jobs have their effect: a bank, a printer, a database behind an API. It is no
//! part of the scheduler, and all that it does for it is to remember the newest fencing token.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::time::Duration;

use althing_client::runtime::Runtime;
use althing_core::ids::Zxid;

use crate::lines;

/// How long the scheduler waits for an answer of the store.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the store is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Question {
    /// From now on nobody with an older token is heard. Which jobs have had their effect?
    Fence(Zxid),
    /// Let this job have its effect. A master that gives no token is always heard.
    Apply { token: Option<Zxid>, job: String },
}

/// What the store answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// These jobs have had their effect.
    Applied(BTreeSet<String>),
    /// The token is older than one that the store has seen.
    Stale,
    /// What was that?
    Unknown,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Question::Fence(token) => write!(f, "fence {}", token.0),
            Question::Apply {
                token: Some(token),
                job,
            } => write!(f, "apply {} {job}", token.0),
            Question::Apply { token: None, job } => write!(f, "apply - {job}"),
        }
    }
}

impl Question {
    /// The question that a line asks, if it does.
    pub fn parse(line: &str) -> Option<Question> {
        let words: Vec<&str> = line.split(' ').collect();
        let token = |word: &str| word.parse().ok().map(Zxid);
        match words.as_slice() {
            ["fence", word] => Some(Question::Fence(token(word)?)),
            ["apply", "-", job] => Some(Question::Apply {
                token: None,
                job: (*job).to_owned(),
            }),
            ["apply", word, job] => Some(Question::Apply {
                token: Some(token(word)?),
                job: (*job).to_owned(),
            }),
            _ => None,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Applied(jobs) => {
                f.write_str("applied")?;
                jobs.iter().try_for_each(|job| write!(f, " {job}"))
            }
            Answer::Stale => f.write_str("stale"),
            Answer::Unknown => f.write_str("unknown"),
        }
    }
}

impl Answer {
    fn parse(line: &str) -> Answer {
        let mut words = line.split(' ');
        match words.next() {
            Some("applied") => Answer::Applied(words.map(str::to_owned).collect()),
            Some("stale") => Answer::Stale,
            _ => Answer::Unknown,
        }
    }
}

/// What the store has on its disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Store {
    newest: Zxid,
    applied: BTreeSet<String>,
}

impl Default for Store {
    fn default() -> Store {
        Store {
            newest: Zxid::ZERO,
            applied: BTreeSet::new(),
        }
    }
}

impl Store {
    /// Answers a question; `effect` is told when a job has its effect, each time that it has.
    pub fn answer(&mut self, line: &str, effect: impl FnOnce(&str)) -> Answer {
        match Question::parse(line) {
            Some(Question::Fence(token)) if token < self.newest => Answer::Stale,
            Some(Question::Fence(token)) => {
                self.newest = token;
                Answer::Applied(self.applied.clone())
            }
            Some(Question::Apply {
                token: Some(token), ..
            }) if token < self.newest => Answer::Stale,
            Some(Question::Apply { token, job }) => {
                self.newest = token.unwrap_or(self.newest);
                effect(&job);
                self.applied.insert(job.clone());
                Answer::Applied(BTreeSet::from([job]))
            }
            None => Answer::Unknown,
        }
    }
}

/// Where the store is.
#[derive(Clone)]
pub struct Teller<R: Runtime> {
    /// What it is reached on.
    pub runtime: R,
    /// `host:port`.
    pub address: String,
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Somebody else is master.
    #[error("the store has seen a newer token")]
    Stale,
    /// Perhaps it did it, perhaps not.
    #[error("the store cannot be reached: {0}")]
    Unreachable(#[from] io::Error),
}

impl<R: Runtime> Teller<R> {
    /// Shuts older masters out; the jobs that have had their effect.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn fence(&self, token: Zxid) -> Result<BTreeSet<String>, Refusal> {
        self.ask(Question::Fence(token)).await
    }

    /// Lets `job` have its effect.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn apply(&self, token: Option<Zxid>, job: &str) -> Result<(), Refusal> {
        let job = job.to_owned();
        self.ask(Question::Apply { token, job }).await.map(|_| ())
    }

    async fn ask(&self, question: Question) -> Result<BTreeSet<String>, Refusal> {
        let (runtime, address) = (&self.runtime, &self.address);
        let answer = lines::ask(runtime, address, &question.to_string(), PATIENCE).await?;
        match Answer::parse(&answer) {
            Answer::Applied(jobs) => Ok(jobs),
            Answer::Stale => Err(Refusal::Stale),
            Answer::Unknown => Err(Refusal::Unreachable(io::ErrorKind::InvalidData.into())),
        }
    }
}
