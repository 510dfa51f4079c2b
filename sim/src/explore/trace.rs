//! Counterexamples: made small, written as stories, and told again.

use std::fmt::Write as _;

use crate::explore::action::Action;
use crate::explore::configurations::Configuration;
use crate::explore::demand::{PROGRESS, demand};
use crate::explore::lab::Lab;
use crate::explore::search::follow;
use crate::explore::story::{Stage, Trouble};
use crate::explore::violation::Violation;
use crate::explore::words;
use crate::explore::world::World;

/// A way to a broken invariant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counterexample {
    /// The name of the configuration.
    pub configuration: &'static str,
    /// The actions in words; after the last one the invariant is broken.
    pub commands: Vec<String>,
    /// What is broken.
    pub violation: Violation,
}

impl Counterexample {
    /// From the actions that a search or a walk took; as few of them as will do.
    pub fn new(
        configuration: &Configuration,
        first: &World,
        actions: &[Action],
        violation: Violation,
    ) -> Counterexample {
        let mut commands = in_words(first, actions);
        let mut violation = violation;
        let mut length = commands.len().div_ceil(2);
        while length > 0 {
            let mut at = 0;
            while at < commands.len() {
                let end = commands.len().min(at + length);
                let mut fewer = commands.clone();
                fewer.drain(at..end);
                match breaks(first, &fewer, violation.invariant) {
                    Some((needed, found)) => (commands, violation) = (needed, found),
                    None => at = end,
                }
            }
            length /= 2;
        }
        Counterexample {
            configuration: configuration.name,
            commands,
            violation,
        }
    }

    /// As a story that can be told again.
    pub fn story(&self) -> String {
        let what = self.violation.to_string().replace('\n', "\n# ");
        let mut text = format!("# {what}\n");
        writeln!(text, "> configuration {}", self.configuration).expect("memory");
        for command in &self.commands {
            writeln!(text, "> {command}").expect("memory");
        }
        if self.violation.invariant == PROGRESS {
            writeln!(text, "> demand").expect("memory");
        }
        text
    }
}

fn in_words(first: &World, actions: &[Action]) -> Vec<String> {
    let mut world = first.clone();
    let mut lab = Lab::counting();
    let mut commands = Vec::new();
    for action in actions {
        commands.push(words::text(&world, action));
        match follow(&world, action, &mut lab) {
            Ok(next) => world = next,
            Err(_) => break,
        }
    }
    commands
}

/// Does the same invariant break if only this happens? Gives what of it is needed: what cannot
/// happen is left out, and so is what comes after the break.
fn breaks(first: &World, commands: &[String], invariant: &str) -> Option<(Vec<String>, Violation)> {
    let mut world = first.clone();
    let mut lab = Lab::counting();
    let mut needed = Vec::new();
    for command in commands {
        let Ok(Some(action)) = words::action(&world, command) else {
            continue;
        };
        needed.push(command.clone());
        match follow(&world, &action, &mut lab) {
            Ok(next) => world = next,
            Err(violation) if violation.invariant == invariant => {
                return Some((needed, violation));
            }
            Err(_) => return None,
        }
    }
    // Nothing breaks, but nothing goes on either.
    let stuck = (invariant == PROGRESS)
        .then(|| demand(&world).err())
        .flatten();
    stuck.map(|violation| (needed, violation))
}

/// Tells a story: every command, and what every server did; ends where an invariant breaks.
pub fn tell(story: &str) -> (String, Result<(), Trouble>) {
    let mut told = String::new();
    let mut stage = match Stage::blank() {
        Ok(stage) => stage,
        Err(trouble) => return (told, Err(trouble)),
    };
    for line in story.lines() {
        let Some(command) = line.strip_prefix("> ") else {
            // Comments and single empty lines stay; what servers did is told anew.
            if line.starts_with('#') || (line.is_empty() && !told.ends_with("\n\n")) {
                told.push_str(line);
                told.push('\n');
            }
            continue;
        };
        writeln!(told, "{line}").expect("memory");
        match stage.command(command) {
            Ok(lines) => lines
                .iter()
                .for_each(|line| writeln!(told, "{line}").expect("memory")),
            Err(trouble) => {
                for line in stage.take_lines() {
                    writeln!(told, "{line}").expect("memory");
                }
                writeln!(told, "{trouble}").expect("memory");
                return (told, Err(trouble));
            }
        }
    }
    (told, Ok(()))
}
