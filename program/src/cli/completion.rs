//! Completion of commands, and of the paths that the servers have.

use std::time::Duration;

use althing_client::client::Client;
use rustyline::completion::{Completer, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};
use tokio::runtime::Handle;

use crate::cli::command;
use crate::cli::way::Way;

/// How long a completion waits for the servers; who types does not wait longer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Most children that are offered: more do not fit a screen.
const OFFERED_MAX: usize = 1000;

/// Completes the line that is being typed.
pub struct Completion {
    names: Vec<String>,
    runtime: Handle,
    /// The session in which paths are looked up.
    pub client: Option<Client<Way>>,
}

impl Completion {
    /// Looks paths up in `runtime`, once there is a client.
    pub fn new(runtime: Handle) -> Completion {
        Completion {
            names: command::names(),
            runtime,
            client: None,
        }
    }

    /// The znodes whose paths begin so.
    fn paths(&self, beginning: &str) -> Vec<String> {
        let Some(client) = &self.client else {
            return Vec::new();
        };
        let slash = beginning.rfind('/').unwrap_or(0);
        let (parent, name) = (&beginning[..slash], &beginning[slash + 1..]);
        let asked = if parent.is_empty() { "/" } else { parent };
        let children = self
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, client.children(asked)).await });
        // Who cannot be asked offers nothing.
        let Ok(Ok(children)) = children else {
            return Vec::new();
        };
        let fitting = children
            .names
            .iter()
            .filter(|child| child.starts_with(name));
        fitting
            .take(OFFERED_MAX)
            .map(|child| format!("{parent}/{child}"))
            .collect()
    }
}

/// Where the word under the cursor begins, and whether it is the first of its line.
fn word(line: &str) -> (usize, Place) {
    let start = line.rfind(char::is_whitespace).map_or(0, |at| {
        at + line[at..].chars().next().map_or(1, char::len_utf8)
    });
    let place = match line[..start].split_whitespace().next() {
        None => Place::Command,
        Some("help") => Place::Command,
        Some(_) => Place::Argument,
    };
    (start, place)
}

/// What a word is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Command,
    Argument,
}

impl Completer for Completion {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = &line[..position];
        let (start, place) = word(before);
        let begun = &before[start..];
        let found = match place {
            Place::Command => {
                let fitting = self.names.iter().filter(|name| name.starts_with(begun));
                fitting.map(|name| format!("{name} ")).collect()
            }
            Place::Argument if begun.starts_with('/') => self.paths(begun),
            Place::Argument => Vec::new(),
        };
        let pairs = found.into_iter().map(|replacement| Pair {
            display: replacement.clone(),
            replacement,
        });
        Ok((start, pairs.collect()))
    }
}

impl Helper for Completion {}
impl Highlighter for Completion {}
impl Validator for Completion {}
impl Hinter for Completion {
    type Hint = String;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_under_the_cursor_is_found() {
        assert_eq!(word(""), (0, Place::Command));
        assert_eq!(word("  l"), (2, Place::Command));
        assert_eq!(word("ls "), (3, Place::Argument));
        assert_eq!(word("ls -R /a/b"), (6, Place::Argument));
        assert_eq!(word("help de"), (5, Place::Command));
    }
}
