//! Where something stands in a scenario file, and what is wrong there.

use std::fmt;

/// One step from a table to a value within it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// To the value of a key.
    Key(String),
    /// To an item of an array.
    Item(usize),
}

/// Where a value stands in a scenario file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeyPath(pub Vec<Step>);

impl KeyPath {
    /// The path of dots and numbers, for example `faults.0.when`.
    pub fn new(dotted: &str) -> KeyPath {
        let step = |part: &str| match part.parse() {
            Ok(index) => Step::Item(index),
            Err(_) => Step::Key(part.to_owned()),
        };
        KeyPath(
            dotted
                .split('.')
                .filter(|part| !part.is_empty())
                .map(step)
                .collect(),
        )
    }

    /// One step on.
    pub fn key(&self, key: &str) -> KeyPath {
        let mut longer = self.clone();
        longer.0.extend(KeyPath::new(key).0);
        longer
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if index == 0 => write!(f, "{key}")?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Item(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// What is wrong with a plan, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unsound {
    /// At which key.
    pub key: KeyPath,
    /// What.
    pub message: String,
}

/// It is wrong.
pub fn refuse<T>(key: KeyPath, message: impl Into<String>) -> Result<T, Unsound> {
    Err(Unsound {
        key,
        message: message.into(),
    })
}
