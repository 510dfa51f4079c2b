//! The commands of interactive replay: a position in a run, moved back and forth, questions about
//! it, and the same run without some of its faults.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use althing_core::tree::path::Path;

use crate::debug::scene::Scene;
use crate::history::Moment;
use crate::performance::{Perform, Performance};
use crate::plan::Plan;
use crate::scenario::inline;
use crate::shrink::steps;
use crate::telling::told;
use crate::verdict::grouped;
use crate::world::record::name_of;

/// What can be said.
const HELP: &str = "\
step [N]      the next moment, or the next N (an empty line repeats it)
back [N]      one moment back, or N
until 12.3s   to this time; until #2111 to the end of this event; until fail to the next violation;
              until NAME to the next event, mark or fault of this name (elected, crash, ...)
where         the position
server [N]    what a server is, has saved and executed; all of them without a number
tree [N]      the znodes as server N has executed them; without a number, as far as anybody has
sessions      the sessions that are open, and their clients
waits         what clients have asked and have no answer to
why PATH      every transaction that made this znode what it is
faults        the plan's faults, by number
drop K        play again without fault K, and go on at the same time; restore K takes it back
quit          the end
";

/// Moments that a step tells at most.
const STEPS_MAX: usize = 500;

/// What a command comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It is told.
    Told(String),
    /// It is the end.
    Quit,
}

/// A run and a position in it.
pub struct Console<'a> {
    perform: &'a Perform,
    seed: u64,
    /// The plan with all its faults, which are called by their places.
    whole: Plan,
    dropped: BTreeSet<usize>,
    /// The plan of the present run.
    plan: Plan,
    performance: Performance,
    /// How many moments have passed.
    position: usize,
}

impl<'a> Console<'a> {
    /// At the beginning of what `seed` makes of `plan`.
    pub fn new(plan: &Plan, seed: u64, perform: &'a Perform) -> Console<'a> {
        let whole = steps::named(plan);
        let performance = perform(&whole, seed);
        Console {
            perform,
            seed,
            plan: whole.clone(),
            whole,
            dropped: BTreeSet::new(),
            performance,
            position: 0,
        }
    }

    /// What the run came to.
    pub fn verdict(&self) -> String {
        let violations = &self.performance.outcome.violations;
        let events = grouped(self.moments().len() as u64);
        match violations.first() {
            None => format!("green, {events} events\n"),
            Some(first) => {
                let (at, count) = (first.at.as_secs_f64(), violations.len());
                let invariant = first.invariant;
                format!(
                    "red, {events} events, {count} violations; the first is {invariant} at \
                     {at:.3}s: {}\n",
                    first.detail
                )
            }
        }
    }

    /// Does what the line says.
    pub fn obey(&mut self, line: &str) -> Answer {
        let mut words = line.split_whitespace();
        let (word, argument) = (words.next().unwrap_or("step"), words.next());
        let told = match (word, argument, words.next()) {
            (_, _, Some(_)) => Err("a command has one argument at most".to_owned()),
            ("quit" | "exit", None, None) => return Answer::Quit,
            ("step", count, None) => number(count, 1).map(|count| self.step(count)),
            ("back", count, None) => number(count, 1).map(|count| {
                self.position = self.position.saturating_sub(count);
                self.place()
            }),
            ("until", Some(to), None) => self.until(to),
            ("where", None, None) => Ok(self.place()),
            ("server", server, None) => {
                server_number(server).map(|server| self.scene().servers(self.position, server))
            }
            ("tree", server, None) => {
                server_number(server).map(|server| self.scene().tree(self.position, server))
            }
            ("sessions", None, None) => Ok(self.scene().sessions(self.position)),
            ("waits", None, None) => Ok(self.scene().waits(self.position)),
            ("why", Some(path), None) => match Path::parse(path) {
                Ok(path) => Ok(self.scene().why(self.position, &path)),
                Err(_) => Err(format!("{path} is no path")),
            },
            ("faults", None, None) => Ok(self.faults()),
            ("drop", Some(_), None) => self.fault(argument).map(|fault| {
                self.dropped.insert(fault);
                self.play_again()
            }),
            ("restore", Some(_), None) => self.fault(argument).map(|fault| {
                self.dropped.remove(&fault);
                self.play_again()
            }),
            ("help", _, None) => Ok(HELP.to_owned()),
            _ => Err(format!(
                "`{line}` says nothing here; `help` lists what does"
            )),
        };
        Answer::Told(told.unwrap_or_else(|error| format!("{error}\n")))
    }

    fn moments(&self) -> &[Moment] {
        &self.performance.history.moments
    }

    fn scene(&self) -> Scene<'_> {
        Scene::new(&self.plan, &self.performance.history)
    }

    fn now(&self) -> Duration {
        let last = self.position.checked_sub(1);
        last.map_or(Duration::ZERO, |last| self.moments()[last].at)
    }

    fn place(&self) -> String {
        let (at, of) = (self.now().as_secs_f64(), self.moments().len() as u64);
        let position = grouped(self.position as u64);
        format!("at {at:.6}s, event {position} of {}\n", grouped(of))
    }

    /// The next moments, with the violations that were seen meanwhile.
    fn step(&mut self, count: usize) -> String {
        let from = self.position;
        let to = (from + count.min(STEPS_MAX)).min(self.moments().len());
        let before = self.now();
        self.position = to;
        if from == to {
            return "the run is over\n".to_owned();
        }
        let mut text = String::new();
        for (index, moment) in self.moments()[from..to].iter().enumerate() {
            let (who, _, what) = told(&moment.what);
            let (event, at) = (from + index + 1, moment.at.as_secs_f64());
            writeln!(text, "#{event} {at:.6}s {who} {what}").expect("text can be written");
        }
        let now = self.now();
        let seen = |at: Duration| before < at && at <= now;
        for violation in &self.performance.outcome.violations {
            if seen(violation.at) {
                let (invariant, detail) = (violation.invariant, &violation.detail);
                writeln!(text, "FAIL {invariant}: {detail}").expect("text can be written");
            }
        }
        text
    }

    fn until(&mut self, to: &str) -> Result<String, String> {
        let now = self.now();
        let moments = self.moments();
        let position = if let Some(event) = to.strip_prefix('#') {
            number(Some(event), 0)?.min(moments.len())
        } else if let Some(time) = time(to) {
            moments.partition_point(|moment| moment.at <= time)
        } else if to == "fail" {
            let violations = self.performance.outcome.violations.iter();
            let next = violations
                .map(|violation| violation.at)
                .find(|at| *at > now);
            let at = next.ok_or("nothing is wrong after this")?;
            moments.partition_point(|moment| moment.at <= at)
        } else {
            let rest = moments[self.position..].iter();
            let found = rest.map(|moment| &moment.what);
            let mut found = found.map(|what| name_of(what) == Some(to));
            let next = found.position(|is_it| is_it);
            let next = next.ok_or(format!("`{to}` does not happen after this"))?;
            self.position + next + 1
        };
        // Told as a step, so that one sees where one has come to.
        self.position = position.saturating_sub(1);
        Ok(self.step(1) + &self.place())
    }

    fn faults(&self) -> String {
        let mut text = String::new();
        for (place, fault) in self.whole.faults.iter().enumerate() {
            let gone = if self.dropped.contains(&place) {
                " (dropped)"
            } else {
                ""
            };
            let (when, what) = (inline(&fault.when), inline(&fault.what));
            writeln!(text, "  {place}: {what}, {when}{gone}").expect("text can be written");
        }
        match text.is_empty() {
            true => "the plan has no faults\n".to_owned(),
            false => text,
        }
    }

    fn fault(&self, argument: Option<&str>) -> Result<usize, String> {
        let count = self.whole.faults.len();
        match number(argument, 0)? {
            place if place < count => Ok(place),
            place => Err(format!(
                "there is no fault {place}; `faults` lists the {count}"
            )),
        }
    }

    /// The run without what was dropped, up to the time at which this one stood.
    fn play_again(&mut self) -> String {
        let now = self.now();
        let kept = (0..self.whole.faults.len()).filter(|place| !self.dropped.contains(place));
        self.plan = steps::with_faults(&self.whole, &kept.collect());
        self.performance = (self.perform)(&self.plan, self.seed);
        self.position = self.moments().partition_point(|moment| moment.at <= now);
        self.verdict() + &self.place()
    }
}

fn number(text: Option<&str>, default: usize) -> Result<usize, String> {
    text.map_or(Ok(default), |text| {
        text.parse().map_err(|error| format!("`{text}`: {error}"))
    })
}

fn server_number(text: Option<&str>) -> Result<Option<u8>, String> {
    let parse = |text: &str| {
        let digits = text.strip_prefix("server-").unwrap_or(text);
        digits.parse().map_err(|error| format!("`{text}`: {error}"))
    };
    text.map(parse).transpose()
}

/// `12.345s`, as timelines write it.
fn time(text: &str) -> Option<Duration> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::performance::perform;
    use crate::scenario::Scenario;

    const STORY: &str = "servers = 3\nlasts = \"6s\"\nsettles = \"20s\"\n\
        [workload.mix]\nclients = 2\nrest = \"200ms\"\nznodes = 2\nsession = \"5s\"\n\
        [[faults]]\nwhen = { at = \"2s\" }\n\
        what = { crash = { who = \"leader\", down = \"1s\" } }\n\
        [[faults]]\nwhen = { then = \"1s\" }\nwhat = { reset = { who = \"client-1\" } }\n";

    fn told(console: &mut Console<'_>, line: &str) -> String {
        match console.obey(line) {
            Answer::Told(text) => text,
            Answer::Quit => panic!("`{line}` ended it"),
        }
    }

    #[test]
    fn one_walks_asks_and_tries_what_would_have_been() {
        let plan = Scenario::parse(STORY, "x.toml", "x").unwrap().plan;
        let mut console = Console::new(&plan, 4, &perform);
        assert!(
            console.verdict().starts_with("green, "),
            "{}",
            console.verdict()
        );
        assert!(told(&mut console, "").starts_with("#1 0.000000s server-1 starts"));
        assert!(told(&mut console, "step 3").lines().count() >= 3);
        assert!(told(&mut console, "back 2").starts_with("at "));
        assert_eq!(console.position, 2);

        told(&mut console, "until 1.9s");
        let servers = told(&mut console, "server");
        assert_eq!(servers.lines().count(), 3);
        assert!(servers.contains("leads epoch 1"), "{servers}");

        let crash = told(&mut console, "until crash");
        assert!(
            crash.contains("crash") && crash.contains("at 2.000000s"),
            "{crash}"
        );
        // The leader that was struck.
        assert!(told(&mut console, "server").contains("is down"));
        let tree = told(&mut console, "tree");
        assert!(tree.contains("  /mix/z-1 "), "{tree}");
        let why = told(&mut console, "why /mix/z-1");
        assert!(why.contains("create /mix/z-1"), "{why}");
        assert!(told(&mut console, "why /nowhere").contains("has touched /nowhere"));
        let sessions = told(&mut console, "sessions");
        assert!(sessions.contains(" of client-1: 5000 ms"), "{sessions}");
        told(&mut console, "until 2.05s");
        assert!(told(&mut console, "server").contains("is down"));
        assert!(!told(&mut console, "waits").is_empty());

        let without = told(&mut console, "drop 0");
        assert!(without.starts_with("green, "), "{without}");
        assert!(told(&mut console, "faults").contains("(dropped)"));
        assert!(!told(&mut console, "server").contains("is down"));
        assert!(told(&mut console, "until crash").contains("does not happen"));
        // What was cued by the fault that is gone falls at its hour all the same.
        assert!(told(&mut console, "until reset").contains("at 3.000000s"));
        told(&mut console, "restore 0");
        told(&mut console, "until #1");
        assert!(told(&mut console, "until crash").contains("at 2.000000s"));
        assert_eq!(console.obey("quit"), Answer::Quit);
    }

    #[test]
    fn what_says_nothing_is_answered() {
        let plan = Scenario::parse(STORY, "x.toml", "x").unwrap().plan;
        let mut console = Console::new(&plan, 4, &perform);
        for line in [
            "jump",
            "step x",
            "drop 7",
            "drop",
            "server x",
            "until fail",
            "why x",
        ] {
            let before = console.position;
            let answer = told(&mut console, line);
            assert!(
                !answer.is_empty() && !answer.starts_with('#'),
                "{line}: {answer}"
            );
            assert_eq!(console.position, before, "{line}");
        }
        assert!(told(&mut console, "help").contains("why PATH"));
        assert!(told(&mut console, "until 1000s").contains("at "));
        assert_eq!(told(&mut console, "step"), "the run is over\n");
    }
}
