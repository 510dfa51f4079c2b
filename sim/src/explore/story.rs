//! Stories: commands to a world, as text, and what every server does about them.
//!
//! A command is an action ([`crate::explore::words`]) or one of these, which stand for several:
//!
//! | command | what it does |
//! |---|---|
//! | `servers 3 founders=3 snapshot-every=2 counter-max=4 pieces=3` | begins anew with blank servers |
//! | `configuration NAME` | begins anew as a configuration of the explorer does |
//! | `server 1 campaigns`, `beats`, `counts`, `isolates` | its timer fires |
//! | `deliver 2 3 from=1 drop=(4)` | what is in flight arrives, to these if any are named; that to 4 is lost |
//! | `save 1` | everything that was asked of the disks is done, of these servers or of all |
//! | `settle` | all of it, until nothing is left to do |
//! | `demand` | mends everything in a copy of the world and demands a leader and equal logs |
//! | `quietly COMMAND` | does it, and tells nothing |
//! | `show` | what every server is and has |

use althing_core::ids::ServerId;

use crate::explore::action::Action;
use crate::explore::bounds::Rules;
use crate::explore::configurations::{self, Configuration};
use crate::explore::demand::demand;
use crate::explore::invariant;
use crate::explore::lab::Lab;
use crate::explore::settle::next_to_settle;
use crate::explore::show::show;
use crate::explore::telling;
use crate::explore::violation::Violation;
use crate::explore::words;
use crate::explore::world::World;

/// What settles within this many actions settles; the largest stories need some hundreds.
const SETTLE_MAX: usize = 10_000;

/// Why a story does not go on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// A command makes no sense.
    Nonsense(String),
    /// What the command wants cannot happen.
    Impossible(String),
    /// An invariant is broken.
    Broken(Violation),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Trouble::Nonsense(text) => f.write_str(text),
            Trouble::Impossible(line) => write!(f, "`{line}` cannot happen here"),
            Trouble::Broken(violation) => write!(f, "BROKEN {violation}"),
        }
    }
}

impl std::error::Error for Trouble {}

impl From<Violation> for Trouble {
    fn from(violation: Violation) -> Trouble {
        Trouble::Broken(violation)
    }
}

/// A world that is told what to do.
#[derive(Debug)]
pub struct Stage {
    world: World,
    lab: Lab,
}

impl Stage {
    /// A world as it is, to go on from.
    pub fn of(world: World) -> Stage {
        Stage {
            world,
            lab: Lab::telling(),
        }
    }

    /// Three blank servers.
    pub fn blank() -> Result<Stage, Trouble> {
        Stage::begin(Rules::roomy(3))
    }

    fn begin(rules: Rules) -> Result<Stage, Trouble> {
        let mut lab = Lab::telling();
        let world = World::new(rules, &mut lab)?;
        Ok(Stage {
            lab,
            ..Stage::of(world)
        })
    }

    /// What has become of it.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// What has become of it, without the stage.
    pub fn into_world(self) -> World {
        self.world
    }

    /// Obeys a command; gives what every server did.
    pub fn command(&mut self, line: &str) -> Result<Vec<String>, Trouble> {
        self.obey(line)?;
        Ok(self.take_lines())
    }

    /// What was told and not taken yet.
    pub fn take_lines(&mut self) -> Vec<String> {
        let mut lines = self.lab.notes.take_lines();
        lines.retain(|line| !line.is_empty());
        lines
    }

    fn obey(&mut self, line: &str) -> Result<(), Trouble> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let nonsense = Trouble::Nonsense;
        match words.first().copied().unwrap_or_default() {
            "servers" => {
                *self = Stage::begin(rules_of(&words).map_err(nonsense)?)?;
                Ok(())
            }
            "configuration" => {
                let name = words.get(1).copied().unwrap_or_default();
                let found = configurations::find(name);
                let found = found.ok_or(format!("there is no configuration `{name}`"));
                *self = Stage::of(first(&found.map_err(nonsense)?)?);
                Ok(())
            }
            "server" => {
                let timer = match words.get(2).copied().unwrap_or_default() {
                    "campaigns" => "election",
                    "beats" => "beat",
                    "counts" => "quorum",
                    "isolates" => "isolation",
                    other => return Err(nonsense(format!("no server ever {other}"))),
                };
                self.act(&format!("fire {} {timer}", words[1]))
            }
            "deliver" if !line.contains('>') => self.deliver(&words[1..]),
            "save" => self.save(&words[1..]),
            "settle" => self.settle(),
            "demand" => Ok(demand(&self.world)?),
            "quietly" => {
                let rest = line
                    .trim_start()
                    .strip_prefix("quietly")
                    .unwrap_or_default();
                self.obey(rest)?;
                self.lab.notes.take_lines();
                Ok(())
            }
            "show" => {
                for line in show(&self.world) {
                    self.lab.notes.tell(|| line);
                }
                Ok(())
            }
            "reconfigure" => {
                let wish = words::wish(&words[1..]).map_err(nonsense)?;
                if !self.world.rules().wishes.contains(&wish) {
                    let mut rules = self.world.rules().clone();
                    rules.wishes.push(wish);
                    self.world = self.world.clone().under(rules);
                }
                self.act(line)
            }
            _ => self.act(line),
        }
    }

    fn act(&mut self, line: &str) -> Result<(), Trouble> {
        let action = words::action(&self.world, line).map_err(Trouble::Nonsense)?;
        let action = action.ok_or_else(|| Trouble::Impossible(line.to_owned()))?;
        self.perform(&action)
    }

    fn perform(&mut self, action: &Action) -> Result<(), Trouble> {
        self.world.act(action, &mut self.lab)?;
        Ok(invariant::check(&self.world)?)
    }

    /// What is in flight now arrives or is lost; what is sent meanwhile is not looked at.
    fn deliver(&mut self, words: &[&str]) -> Result<(), Trouble> {
        let mut to = Vec::new();
        let mut from = Vec::new();
        let mut dropped = Vec::new();
        let list = |text: &str| {
            let names = text.trim_matches(['(', ')']).split(',');
            let servers: Result<Vec<ServerId>, String> = names.map(words::server).collect();
            servers.map_err(Trouble::Nonsense)
        };
        for word in words {
            match word.split_once('=') {
                Some(("drop", servers)) => dropped = list(servers)?,
                Some(("from", servers)) => from = list(servers)?,
                Some((key, _)) => return Err(Trouble::Nonsense(format!("what is `{key}`?"))),
                None => to.extend(list(word)?),
            }
        }
        let mut waiting = self.world.wire().packets().to_vec();
        while !waiting.is_empty() {
            let packet = waiting.remove(0);
            let found = self.world.wire().packets().iter();
            let index = found
                .enumerate()
                .find_map(|(index, other)| std::sync::Arc::ptr_eq(other, &packet).then_some(index));
            // What was cut off meanwhile is gone.
            let Some(index) = index else {
                continue;
            };
            let comes = from.is_empty() || from.contains(&packet.from);
            if comes && dropped.contains(&packet.to) {
                self.perform(&Action::Drop(index))?;
            } else if comes && (to.is_empty() || to.contains(&packet.to)) {
                let (sender, message) = (packet.from, telling::message(&packet.message));
                self.lab
                    .notes
                    .tell(|| format!("{} hears {sender}: {message}", packet.to));
                self.perform(&Action::Deliver(index))?;
            }
        }
        Ok(())
    }

    fn save(&mut self, words: &[&str]) -> Result<(), Trouble> {
        let named: Result<Vec<ServerId>, String> =
            words.iter().map(|word| words::server(word)).collect();
        let mut servers = named.map_err(Trouble::Nonsense)?;
        if servers.is_empty() {
            servers = self.world.rules().all().collect();
        }
        for who in servers {
            // What is asked for meanwhile waits for the next time.
            let asked = self.world.server(who).disk.asked().len();
            for _ in 0..asked {
                if !self.world.server(who).disk.asked().is_empty() {
                    self.perform(&Action::Save(who))?;
                }
            }
        }
        Ok(())
    }

    /// Does everything that waits to be done, until nothing does.
    fn settle(&mut self) -> Result<(), Trouble> {
        for _ in 0..SETTLE_MAX {
            let Some(action) = next_to_settle(&self.world) else {
                return Ok(());
            };
            if let Action::Deliver(index) = action {
                let packet = self.world.wire().packets()[index].clone();
                let (sender, message) = (packet.from, telling::message(&packet.message));
                self.lab
                    .notes
                    .tell(|| format!("{} hears {sender}: {message}", packet.to));
            }
            self.perform(&action)?;
        }
        let text = "the servers do not come to rest";
        Err(Violation::new("bounded work", text).into())
    }
}

fn rules_of(words: &[&str]) -> Result<Rules, String> {
    let count = words.get(1).and_then(|word| word.parse().ok());
    let count = count.filter(|count| (1..=9).contains(count));
    let mut rules = Rules::roomy(count.ok_or("`servers 3`")?);
    for word in &words[2..] {
        let (key, value) = word.split_once('=').ok_or(format!("what is `{word}`?"))?;
        let number = || format!("`{value}` is no number");
        let number: u8 = value.parse().map_err(|_| number())?;
        match key {
            "founders" => rules.founders = number,
            "snapshot-every" => rules.snapshot_every = u32::from(number),
            "counter-max" => rules.counter_max = u32::from(number),
            "pieces" => rules.pieces = number,
            _ => return Err(format!("what is `{key}`?")),
        }
    }
    Ok(rules)
}

/// The state that the exploring of a configuration begins with.
pub fn first(configuration: &Configuration) -> Result<World, Trouble> {
    let wanted = &configuration.rules;
    let mut stage = Stage::begin(wanted.unbounded())?;
    for line in configuration.prelude {
        stage.command(line)?;
    }
    Ok(stage.into_world().under(wanted.clone()))
}
