//! What is told of an explored world besides its state: marks of coverage, and lines of a story.

use std::collections::BTreeMap;

/// Takes note of what happens.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// How often each kind of event happened.
    marks: BTreeMap<&'static str, u64>,
    story: Option<Vec<String>>,
}

impl Notes {
    /// Counts.
    pub fn counting() -> Notes {
        Notes::default()
    }

    /// Counts, and writes down lines.
    pub fn telling() -> Notes {
        Notes {
            marks: BTreeMap::new(),
            story: Some(Vec::new()),
        }
    }

    /// An event of this kind happened.
    pub fn mark(&mut self, name: &'static str) {
        *self.marks.entry(name).or_default() += 1;
    }

    /// How often each kind of event happened, in the order of the names.
    pub fn marks(&self) -> &BTreeMap<&'static str, u64> {
        &self.marks
    }

    /// Does somebody read the lines?
    pub fn is_telling(&self) -> bool {
        self.story.is_some()
    }

    /// Writes a line, if somebody reads it.
    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(line());
        }
    }

    /// The lines since the last time.
    pub fn take_lines(&mut self) -> Vec<String> {
        self.story.as_mut().map(std::mem::take).unwrap_or_default()
    }
}
