//! A mutant: a real bug, kept as a patch that says what it is in its first lines.
//!
//! ```text
//! # kind: a vote given before it is durable
//! # source: D03, ClickHouse#111454
//! # scenario: vote-and-power-loss
//! # seeds: 0..20
//! # explore: election
//! # caught-by: I5 election safety, I3 durability
//! ```
//!
//! `scenario` and `seeds` are its directed trigger, `explore` a configuration of the explorer; it
//! has one of them or both. `caught-by: nothing` marks a harmless mutant, on which no checker may
//! fire.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use crate::score::trouble::Trouble;

/// One mutant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mutant {
    /// Its file's name, without the extension.
    pub name: String,
    /// Its file.
    pub patch: PathBuf,
    /// Of the patch without its first lines: a result of another patch tells nothing.
    pub digest: String,
    /// What kind of bug it is.
    pub kind: String,
    /// Where it comes from: ids of the catalogue, of bug trackers, of papers.
    pub source: String,
    /// A scenario that leads to it, and the seeds to play.
    pub trigger: Option<Trigger>,
    /// A configuration of the explorer.
    pub explore: Option<String>,
    /// Who catches it.
    pub caught_by: Expected,
}

/// A directed trigger.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trigger {
    /// The name of a scenario.
    pub scenario: String,
    /// The seeds that are played, in this order.
    pub seeds: Range<u64>,
}

/// Who catches a mutant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expected {
    /// Nobody: it is harmless.
    Nothing,
    /// Any of these invariants.
    Any(Vec<String>),
}

impl Mutant {
    /// Is it one on which no checker may fire?
    pub fn is_harmless(&self) -> bool {
        self.caught_by == Expected::Nothing
    }

    /// Is one of these invariants the one that its patch names?
    pub fn is_named_among(&self, invariants: &[String]) -> bool {
        match &self.caught_by {
            Expected::Nothing => false,
            Expected::Any(named) => named.iter().any(|name| invariants.contains(name)),
        }
    }

    /// Reads a patch.
    ///
    /// # Errors
    /// If it cannot be read, or does not say what it is.
    pub fn read(patch: &Path) -> Result<Mutant, Trouble> {
        let text = fs::read_to_string(patch).map_err(Trouble::file(patch))?;
        let name = patch.file_stem().unwrap_or_default().to_string_lossy();
        Mutant::parse(&text, &name, patch)
    }

    fn parse(text: &str, name: &str, patch: &Path) -> Result<Mutant, Trouble> {
        let begin = text
            .find("diff --git ")
            .ok_or_else(|| Trouble::nonsense(patch, "this is no patch"))?;
        let (head, body) = text.split_at(begin);
        let optional = |key: &str| {
            let prefix = format!("# {key}: ");
            let line = head.lines().find_map(|line| line.strip_prefix(&prefix));
            line.map(|value| value.trim().to_owned())
        };
        let required = |key: &str| {
            optional(key).ok_or_else(|| Trouble::nonsense(patch, format!("no `# {key}: `")))
        };
        let trigger = match optional("scenario") {
            Some(scenario) => {
                let told = required("seeds")?;
                let seeds = seeds(&told).ok_or_else(|| {
                    Trouble::nonsense(patch, format!("`{told}` are no seeds: write 0..20"))
                })?;
                Some(Trigger { scenario, seeds })
            }
            None => None,
        };
        let explore = optional("explore");
        if trigger.is_none() && explore.is_none() {
            let what = "neither `# scenario: ` nor `# explore: `: nothing leads to it";
            return Err(Trouble::nonsense(patch, what));
        }
        let names = required("caught-by")?;
        let caught_by = match names.as_str() {
            "nothing" => Expected::Nothing,
            names => Expected::Any(names.split(',').map(|name| name.trim().into()).collect()),
        };
        Ok(Mutant {
            name: name.to_owned(),
            patch: patch.to_owned(),
            digest: format!("{:016x}", xxh3_64(body.as_bytes())),
            kind: required("kind")?,
            source: optional("source").unwrap_or_default(),
            trigger,
            explore,
            caught_by,
        })
    }
}

fn seeds(text: &str) -> Option<Range<u64>> {
    let (first, end) = text.split_once("..")?;
    let (first, end) = (first.parse().ok()?, end.parse().ok()?);
    (first < end).then_some(first..end)
}

/// All mutants of a folder, by name.
///
/// # Errors
/// If one does not say what it is.
pub fn read_all(folder: &Path) -> Result<Vec<Mutant>, Trouble> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(Trouble::file(folder))? {
        let path = entry.map_err(Trouble::file(folder))?.path();
        if path.extension().is_some_and(|kind| kind == "patch") {
            found.push(Mutant::read(&path)?);
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "# kind: a watch lost\n# source: D35\n# scenario: service-tree\n\
        # seeds: 0..20\n# caught-by: V3 no lost watch, V5 re-arm\ndiff --git a/x b/x\n";

    fn parse(text: &str) -> Result<Mutant, Trouble> {
        Mutant::parse(text, "d35", Path::new("d35.patch"))
    }

    #[test]
    fn a_patch_says_what_it_is() {
        let mutant = parse(PATCH).unwrap();
        let trigger = mutant.trigger.clone().unwrap();
        assert_eq!(
            (trigger.scenario.as_str(), trigger.seeds),
            ("service-tree", 0..20)
        );
        assert_eq!(mutant.source, "D35");
        assert!(mutant.is_named_among(&["V1 one-shot".into(), "V5 re-arm".into()]));
        assert!(!mutant.is_named_among(&["V1 one-shot".into()]) && !mutant.is_harmless());
    }

    #[test]
    fn its_first_lines_do_not_change_what_it_is() {
        let other = PATCH.replace("0..20", "5..9");
        assert_eq!(parse(PATCH).unwrap().digest, parse(&other).unwrap().digest);
        let other = PATCH.replace("b/x", "b/y");
        assert_ne!(parse(PATCH).unwrap().digest, parse(&other).unwrap().digest);
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        for (cut, why) in [
            ("# scenario: service-tree\n", "nothing leads to it"),
            ("# seeds: 0..20\n", "no `# seeds: `"),
            ("# kind: a watch lost\n", "no `# kind: `"),
            ("diff --git a/x b/x\n", "this is no patch"),
        ] {
            let error = parse(&PATCH.replace(cut, "")).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        let error = parse(&PATCH.replace("0..20", "20..0")).unwrap_err();
        assert!(error.to_string().contains("are no seeds"), "{error}");
    }
}
