//! What an inspection comes to, and where it is written.

use std::io::{self, BufWriter, Stdout, Write};

use althing::storage::error::StorageError;
use serde_json::Value;
use thiserror::Error;

/// How an inspection ends, if it could look.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// All is whole, or equal.
    Good,
    /// Something is damaged, missing or different.
    Bad,
}

/// Why an inspection could not look.
#[derive(Debug, Error)]
pub enum Trouble {
    /// The operating system.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// A name that is none of the storage's.
    #[error(
        "{0}: the name does not tell a position; the storage calls its files log.<position> and \
         snapshot.<position>, with 16 hexadecimal digits"
    )]
    NoPosition(String),
    /// Standard output.
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

impl Trouble {
    /// The operating system says `source` about `file`.
    pub fn io(file: &str, source: io::Error) -> Trouble {
        let file = file.to_owned();
        Trouble::Io { file, source }
    }

    /// Tells what the operating system refused from what is wrong with a file.
    pub fn or_finding(file: &str, error: StorageError) -> Result<Finding, Trouble> {
        match error {
            StorageError::Io { source, .. } => Err(Trouble::io(file, source)),
            StorageError::Damaged { offset, what, .. } => Ok(Finding {
                file: file.to_owned(),
                offset: Some(offset),
                what,
            }),
            other => Ok(Finding {
                file: file.to_owned(),
                offset: None,
                what: other.finding(),
            }),
        }
    }
}

/// Something that is wrong with a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The file, as the operator named it.
    pub file: String,
    /// The byte at which it begins, if it is at one.
    pub offset: Option<u64>,
    /// What it is.
    pub what: String,
}

impl Finding {
    /// As a line of text.
    pub fn text(&self) -> String {
        match self.offset {
            Some(offset) => format!("{}: DAMAGED at byte {offset}: {}", self.file, self.what),
            None => format!("{}: WRONG: {}", self.file, self.what),
        }
    }

    /// As an object.
    pub fn json(&self) -> Value {
        serde_json::json!({
            "kind": "finding",
            "file": self.file,
            "offset": self.offset,
            "what": self.what,
        })
    }
}

/// Standard output, for people or for programs.
pub struct Output {
    out: BufWriter<Stdout>,
    notation: Notation,
}

/// For whom it is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notation {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Output {
    /// Standard output.
    pub fn new(notation: Notation) -> Output {
        let out = BufWriter::new(io::stdout());
        Output { out, notation }
    }

    /// A line, in either notation; only the one that is wanted is made.
    pub fn line(
        &mut self,
        text: impl FnOnce() -> String,
        json: impl FnOnce() -> Value,
    ) -> io::Result<()> {
        match self.notation {
            Notation::Text => writeln!(self.out, "{}", text()),
            Notation::Json => writeln!(self.out, "{}", json()),
        }
    }

    /// Something that is wrong.
    pub fn finding(&mut self, finding: &Finding) -> io::Result<()> {
        self.line(|| finding.text(), || finding.json())
    }

    /// Writes what is left.
    pub fn end(mut self) -> io::Result<()> {
        self.out.flush()
    }
}
