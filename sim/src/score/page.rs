//! The score as text: the page that is kept, and the same table for a terminal.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::score::catalogue::Impossible;
use crate::score::mutant::{Expected, Mutant};
use crate::score::results::{Results, Standing, Tried};
use crate::score::told::Smaller;
use crate::score::trial::{Trial, Way};
use crate::verdict::span;

/// Everything between these two lines of a page is written by the command; the rest is kept.
const BEGIN: &str = "<!-- score: begin -->\n";
const END: &str = "<!-- score: end -->\n";

/// A person can follow a story of so many faults.
const FAULTS_LEFT_GOAL: usize = 10;

const TEXT: &str = "text can be written";

/// What there is to tell.
#[derive(Clone, Copy, Debug)]
pub struct Score<'a> {
    /// All mutants, by name.
    pub mutants: &'a [Mutant],
    /// What can have no mutant.
    pub impossible: &'a [Impossible],
    /// What the mutants have come to.
    pub results: &'a Results,
}

/// Puts the score into a page, in the place of the one that was there.
pub fn put_into(page: &str, score: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{score}{END}{after}"))
}

/// The line of one mutant on a terminal.
pub fn line(mutant: &Mutant, results: &Results, width: usize) -> String {
    let standing = results.standing(mutant).words().replace('*', "");
    let mut line = format!("{standing:<17}  {:<width$}", mutant.name);
    let Some(tried) = results.of(mutant) else {
        return line;
    };
    for way in Way::ALL {
        if let Some(trial) = tried.by(way) {
            let name = format!("{way:?}").to_lowercase();
            write!(line, "  {name}: {}", found(trial)).expect(TEXT);
        }
    }
    if results.standing(mutant) == Standing::Inside {
        let inside = tried.trials().find_map(|trial| trial.inside.as_deref());
        write!(line, "  {}", inside.unwrap_or_default()).expect(TEXT);
    }
    line
}

/// How a way fared: `I3 durability in 0.4s, 3 seeds`.
fn found(trial: &Trial) -> String {
    let time = span(Duration::from_millis(trial.busy_ms));
    let seeds = match trial.seeds {
        0 => String::new(),
        1 => ", 1 seed".to_owned(),
        seeds => format!(", {seeds} seeds"),
    };
    match trial.broken.first() {
        Some(invariant) => format!("{invariant} in {time}{seeds}"),
        None => format!("nothing in {time}{seeds}"),
    }
}

impl Score<'_> {
    /// The score for a page.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        self.summary(&mut text);
        self.goals(&mut text);
        text.push_str("\n## The mutants\n\n");
        self.table(&mut text, |mutant| !mutant.is_harmless());
        text.push_str("\n## Harmless mutants\n\nChanges that look wrong and are not: no checker may fire.\n\n");
        self.table(&mut text, Mutant::is_harmless);
        text.push_str(
            "\n## Impossible by construction\n\n| id | why there is no like place |\n|---|---|\n",
        );
        for Impossible { id, reason } in self.impossible {
            writeln!(text, "| {id} | {reason} |").expect(TEXT);
        }
        text
    }

    fn count(&self, standing: Standing) -> usize {
        let of = |mutant: &&Mutant| self.results.standing(mutant) == standing;
        self.mutants.iter().filter(of).count()
    }

    fn summary(&self, text: &mut String) {
        let mut days: Vec<&str> = self.trials().map(|trial| trial.date.as_str()).collect();
        days.sort_unstable();
        let when = match (days.first(), days.last()) {
            (Some(first), Some(last)) if first == last => format!("As of {first}"),
            (Some(first), Some(last)) => format!("As of {first} to {last}"),
            _ => "Nothing was tried yet".to_owned(),
        };
        let harmless = self.mutants.iter().filter(|mutant| mutant.is_harmless());
        let (harmless, all) = (harmless.count(), self.mutants.len());
        let [untried, inside, missed, green, alarms] = [
            Standing::Untried,
            Standing::Inside,
            Standing::Missed,
            Standing::RightlyGreen,
            Standing::FalseAlarm,
        ]
        .map(|standing| self.count(standing));
        let (real, caught) = (all - harmless, self.count(Standing::Caught));
        writeln!(
            text,
            "{when}: of {real} mutants {caught} are caught from the outside, {inside} are seen only by \
             an assertion\ninside of the core, {missed} are missed. Of {harmless} harmless ones \
             {green} are rightly green, {alarms} raise a false alarm.\nNot tried yet: {untried}. \
             Trials of which each row is made, by the commit whose code they had: {}.\n",
            self.commits(),
        )
        .expect(TEXT);
    }

    fn trials(&self) -> impl Iterator<Item = &Trial> {
        let tried = |mutant| self.results.of(mutant);
        self.mutants
            .iter()
            .filter_map(tried)
            .flat_map(Tried::trials)
    }

    /// How many trials there are of each commit, the most first.
    fn commits(&self) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for trial in self.trials() {
            *counts.entry(&trial.commit).or_default() += 1;
        }
        let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
        counts.sort_by_key(|(commit, count)| (Reverse(*count), *commit));
        let told = counts
            .iter()
            .map(|(commit, count)| format!("{count} of {commit}"));
        match counts.is_empty() {
            true => "none".to_owned(),
            false => told.collect::<Vec<_>>().join(", "),
        }
    }

    fn goals(&self, text: &mut String) {
        let real = || self.mutants.iter().filter(|mutant| !mutant.is_harmless());
        let tried = real().filter(|mutant| self.results.standing(mutant) != Standing::Untried);
        let (tried, caught) = (tried.count(), self.count(Standing::Caught));
        let best = real().filter_map(|mutant| self.results.of(mutant)?.caught_in_ms());
        let swarm = real().filter_map(|mutant| {
            let swarm = self.results.of(mutant)?.swarm.as_ref()?;
            swarm.is_caught().then_some(swarm.busy_ms)
        });
        let (best, swarm) = (Quantiles::of(best), Quantiles::of(swarm));
        let swarmed = real().filter(|mutant| {
            let tried = self.results.of(mutant);
            tried.is_some_and(|tried| tried.swarm.is_some())
        });
        let smaller: Vec<Smaller> = real()
            .filter_map(|mutant| self.results.of(mutant)?.smaller())
            .collect();
        let few = |smaller: &&Smaller| smaller.faults_left <= FAULTS_LEFT_GOAL;
        let left = match smaller.iter().map(|smaller| smaller.faults_left).max() {
            Some(worst) => {
                let few = smaller.iter().filter(few).count();
                format!("{}, worst {worst}", percent(few, smaller.len()))
            }
            None => "not tried yet".to_owned(),
        };
        let shrinking = Quantiles::of(smaller.iter().map(|smaller| smaller.busy_ms));
        let (green, harmless) = (self.count(Standing::RightlyGreen), {
            let alarms = self.count(Standing::FalseAlarm);
            alarms + self.count(Standing::RightlyGreen)
        });
        writeln!(
            text,
            "| measure | goal | measured |\n|---|---|---|\n\
             | mutants caught from the outside, of those tried | 100 % | {} |\n\
             | processor time until caught, by the best way | median 1 s, 90th percentile 60 s, \
             worst 30 min | {best} |\n\
             | the same by the swarm alone, which knows nothing of the mutant | the same | {swarm} \
             ({} within its time) |\n\
             | faults that shrinking leaves of the plan that caught it soonest | at most \
             {FAULTS_LEFT_GOAL} | {left} |\n\
             | processor time of shrinking | at most 60 s | {shrinking} |\n\
             | harmless mutants on which nothing fires, of those tried | 100 % | {} |",
            percent(caught, tried),
            percent(swarm.count, swarmed.count()),
            percent(green, harmless),
        )
        .expect(TEXT);
    }

    fn table(&self, text: &mut String, wanted: impl Fn(&Mutant) -> bool) {
        text.push_str(
            "| mutant | what it is | from | standing | fired | by its trigger | by the swarm | by the \
             explorer | faults left | code of |\n|---|---|---|---|---|---|---|---|---|---|\n",
        );
        for mutant in self.mutants.iter().filter(|mutant| wanted(mutant)) {
            let tried = self.results.of(mutant);
            let cell = |way: Way| match tried.and_then(|tried| tried.by(way)) {
                Some(trial) => outcome(trial),
                None if is_given(mutant, way) => "not tried yet".to_owned(),
                None => "–".to_owned(),
            };
            writeln!(
                text,
                "| `{}` | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                mutant.name,
                mutant.kind,
                mutant.source,
                self.results.standing(mutant).words(),
                fired(mutant, tried),
                cell(Way::Trigger),
                cell(Way::Swarm),
                cell(Way::Explorer),
                tried.map_or("–".to_owned(), faults_left),
                tried.map_or("–".to_owned(), commits_of),
            )
            .expect(TEXT);
        }
    }
}

/// Does the patch name something for this way?
fn is_given(mutant: &Mutant, way: Way) -> bool {
    match way {
        Way::Trigger => mutant.trigger.is_some(),
        Way::Swarm => true,
        Way::Explorer => mutant.explore.is_some(),
    }
}

/// The invariants that fired first, by every way; those that the patch names stand out.
fn fired(mutant: &Mutant, tried: Option<&Tried>) -> String {
    let mut names: Vec<&str> = Vec::new();
    for trial in tried.iter().flat_map(|tried| tried.trials()) {
        if let Some(first) = trial.broken.first()
            && !names.contains(&first.as_str())
        {
            names.push(first);
        }
    }
    let named = |name: &str| match &mutant.caught_by {
        Expected::Nothing => false,
        Expected::Any(expected) => expected.iter().any(|known| known == name),
    };
    let told = names.iter().map(|name| match named(name) {
        true => format!("**{name}**"),
        false => (*name).to_owned(),
    });
    match names.is_empty() {
        true => "–".to_owned(),
        false => told.collect::<Vec<_>>().join(", "),
    }
}

fn outcome(trial: &Trial) -> String {
    let time = span(Duration::from_millis(trial.busy_ms));
    let seeds = match trial.seeds {
        0 => String::new(),
        1 => "1 seed, ".to_owned(),
        seeds => format!("{seeds} seeds, "),
    };
    match (trial.is_caught(), &trial.inside) {
        (true, _) => format!("{seeds}{time} (`{}`)", trial.place),
        (false, Some(_)) => format!("inside only, {seeds}{time}"),
        (false, None) => format!("not in {seeds}{time}"),
    }
}

fn faults_left(tried: &Tried) -> String {
    let Some(smaller) = tried.smaller() else {
        return "–".to_owned();
    };
    let Smaller {
        faults_drawn: drawn,
        faults_left: left,
        busy_ms,
        is_least,
    } = smaller;
    let time = span(Duration::from_millis(busy_ms));
    match is_least {
        true => format!("{left} of {drawn}, {time}"),
        false => format!("{left} of {drawn}, not done in {time}"),
    }
}

/// The commits whose code the ways of a mutant were tried with, in the order of the ways.
fn commits_of(tried: &Tried) -> String {
    let mut commits: Vec<&str> = Vec::new();
    for trial in tried.trials() {
        if !commits.contains(&trial.commit.as_str()) {
            commits.push(&trial.commit);
        }
    }
    commits.join(", ")
}

fn percent(part: usize, whole: usize) -> String {
    match whole {
        0 => "not tried yet".to_owned(),
        _ => format!(
            "{:.0} % ({part} of {whole})",
            100.0 * part as f64 / whole as f64
        ),
    }
}

/// The middle, the ninetieth percentile and the end of a list of times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Quantiles {
    count: usize,
    median_ms: u64,
    ninetieth_ms: u64,
    worst_ms: u64,
}

impl Quantiles {
    fn of(times: impl Iterator<Item = u64>) -> Quantiles {
        let mut times: Vec<u64> = times.collect();
        times.sort_unstable();
        // The least time that so many of a hundred do not exceed.
        let at = |hundredths: usize| {
            let rank = (times.len() * hundredths).div_ceil(100).max(1);
            times.get(rank - 1).copied().unwrap_or_default()
        };
        Quantiles {
            count: times.len(),
            median_ms: at(50),
            ninetieth_ms: at(90),
            worst_ms: at(100),
        }
    }
}

impl std::fmt::Display for Quantiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.count == 0 {
            return f.write_str("not tried yet");
        }
        let [median, ninetieth, worst] = [self.median_ms, self.ninetieth_ms, self.worst_ms]
            .map(|time| span(Duration::from_millis(time)));
        write!(
            f,
            "median {median}, 90th percentile {ninetieth}, worst {worst}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_times_that_were_measured() {
        let quantiles = Quantiles::of((1..=10).rev());
        assert_eq!((quantiles.median_ms, quantiles.ninetieth_ms), (5, 9));
        assert_eq!((quantiles.worst_ms, quantiles.count), (10, 10));
        assert_eq!(Quantiles::of([7].into_iter()).median_ms, 7);
        assert_eq!(Quantiles::of([].into_iter()).to_string(), "not tried yet");
    }

    #[test]
    fn a_row_says_of_which_commits_it_is() {
        let of = |commit: &str| {
            Some(Trial {
                commit: commit.to_owned(),
                ..Trial::default()
            })
        };
        let tried = Tried {
            trigger: of("b"),
            swarm: of("b"),
            explorer: of("a"),
            ..Tried::default()
        };
        assert_eq!(commits_of(&tried), "b, a");
    }

    #[test]
    fn only_the_score_of_a_page_is_replaced() {
        let page = format!("# A\n{BEGIN}old\n{END}the end\n");
        let again = put_into(&page, "new\n").unwrap();
        assert_eq!(again, format!("# A\n{BEGIN}new\n{END}the end\n"));
        assert_eq!(put_into("# A\n", "new"), None);
    }
}
