//! Actions in words, and back. An action names a message by who sent it to whom, its name, and
//! which one of those that are alike it is.

use std::collections::BTreeMap;

use althing_core::ids::{ServerId, SessionId};
use althing_core::node::input::Timer;
use althing_core::voters::{Share, Voters, WEIGHT_DEFAULT};

use crate::explore::action::Action;
use crate::explore::bounds::Wish;
use crate::explore::client::Want;
use crate::explore::world::World;

/// The action as a command of stories.
pub fn text(world: &World, action: &Action) -> String {
    match action {
        Action::Deliver(index) => format!("deliver {}", packet_text(world, *index)),
        Action::Drop(index) => format!("drop {}", packet_text(world, *index)),
        Action::Double(index) => format!("double {}", packet_text(world, *index)),
        Action::Save(who) => format!("save-one {who}"),
        Action::Refuse(who) => format!("refuse {who}"),
        Action::Keep(who) => format!("keep {who}"),
        Action::Waste(who) => format!("waste {who}"),
        Action::Read(who) => format!("read {who}"),
        Action::Miss(who) => format!("miss {who}"),
        Action::Crash(who, kept) => format!("crash {who} kept={kept}"),
        Action::Start(who) => format!("start {who}"),
        Action::Restart(who, kept) => format!("restart {who} kept={kept}"),
        Action::Replace(who) => format!("replace {who}"),
        Action::Wait(who) => format!("wait {who}"),
        Action::Fire(who, timer) => format!("fire {who} {}", timer_text(*timer)),
        Action::Suspect(who, other) => format!("suspect {who} {other}"),
        Action::Flap(who, other) => format!("flap {who} {other}"),
        Action::Open(who) => format!("open {who}"),
        Action::Move(client, who) => format!("move c{} {who}", client + 1),
        Action::Ask(client, want) => format!("ask c{} {}", client + 1, want.name()),
        Action::Leave(client) => format!("leave c{}", client + 1),
        Action::Reconfigure(who, wish) => {
            let Wish { voters, learners } = &world.rules().wishes[*wish];
            let voters = voters.to_string().replace(" / ", "/").replace(' ', ",");
            let learners: Vec<String> = learners.iter().map(ToString::to_string).collect();
            let learners = learners.join(",");
            match learners.is_empty() {
                true => format!("reconfigure {who} voters={voters}"),
                false => format!("reconfigure {who} voters={voters} learners={learners}"),
            }
        }
        Action::Stop(who) => format!("stop {who}"),
        Action::Cut(a, b) => format!("cut {a} {b}"),
        Action::Join(a, b) => format!("join {a} {b}"),
    }
}

fn packet_text(world: &World, index: usize) -> String {
    let packets = world.wire().packets();
    let packet = &packets[index];
    let name = packet.message.name();
    let alike = packets[..index]
        .iter()
        .filter(|other| other.shares_link(packet) && other.message.name() == name);
    let (from, to) = (packet.from, packet.to);
    match alike.count() {
        0 => format!("{from}>{to} {name}"),
        before => format!("{from}>{to} {name}.{}", before + 1),
    }
}

fn timer_text(timer: Timer) -> String {
    match timer {
        Timer::Election => "election".to_owned(),
        Timer::Beat => "beat".to_owned(),
        Timer::Quorum => "quorum".to_owned(),
        Timer::Isolation => "isolation".to_owned(),
        Timer::Tick => "tick".to_owned(),
        Timer::Reap => "reap".to_owned(),
        Timer::Expiry(session) => format!("expiry={session}"),
        Timer::ReadOnly => "read-only".to_owned(),
        Timer::Silence(session) => format!("silence={session}"),
    }
}

/// The action that a command means in this world; `None` if it cannot happen here.
pub fn action(world: &World, line: &str) -> Result<Option<Action>, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let word = |index: usize| {
        let missing = || format!("`{line}` is too short");
        words.get(index).copied().ok_or_else(missing)
    };
    let who = |index: usize| server(word(index)?);
    let action = match word(0)? {
        verb @ ("deliver" | "drop" | "double") => {
            let Some(index) = packet(world, word(1)?, word(2)?)? else {
                return Ok(None);
            };
            match verb {
                "deliver" => Action::Deliver(index),
                "drop" => Action::Drop(index),
                _ => Action::Double(index),
            }
        }
        "save-one" => Action::Save(who(1)?),
        "refuse" => Action::Refuse(who(1)?),
        "keep" => Action::Keep(who(1)?),
        "waste" => Action::Waste(who(1)?),
        "read" => Action::Read(who(1)?),
        "miss" => Action::Miss(who(1)?),
        "crash" => Action::Crash(who(1)?, kept(&words)?),
        "start" => Action::Start(who(1)?),
        "restart" => Action::Restart(who(1)?, kept(&words)?),
        "replace" => Action::Replace(who(1)?),
        "wait" => Action::Wait(who(1)?),
        "fire" => Action::Fire(who(1)?, timer(word(2)?)?),
        "suspect" => Action::Suspect(who(1)?, who(2)?),
        "flap" => Action::Flap(who(1)?, who(2)?),
        "open" => Action::Open(who(1)?),
        "move" => Action::Move(client(word(1)?)?, who(2)?),
        "ask" => Action::Ask(client(word(1)?)?, want(word(2)?)?),
        "leave" => Action::Leave(client(word(1)?)?),
        "reconfigure" => {
            let wish = wish(&words[2..])?;
            let known = world.rules().wishes.iter().position(|known| *known == wish);
            Action::Reconfigure(who(1)?, known.ok_or("nobody wishes for these members")?)
        }
        "stop" => Action::Stop(who(1)?),
        "cut" => Action::Cut(who(1)?, who(2)?),
        "join" => Action::Join(who(1)?, who(2)?),
        other => return Err(format!("nobody knows how to `{other}`")),
    };
    Ok(Some(action).filter(|action| can_happen(world, action)))
}

fn can_happen(world: &World, action: &Action) -> bool {
    use crate::explore::server::Power;
    let is_there = |who: ServerId| who.0 >= 1 && who.0 <= world.rules().servers;
    let runs = |who: ServerId| is_there(who) && world.server(who).power == Power::On;
    let client = |index: usize| world.clients().get(index);
    match *action {
        Action::Deliver(_) | Action::Drop(_) | Action::Double(_) => true,
        Action::Save(who) => runs(who) && !world.server(who).disk.asked().is_empty(),
        Action::Refuse(who) => runs(who) && !world.server(who).disk.asked().is_empty(),
        Action::Keep(who) | Action::Waste(who) => runs(who) && world.server(who).making.is_some(),
        Action::Read(who) | Action::Miss(who) => runs(who) && !world.server(who).reading.is_empty(),
        Action::Start(who) => is_there(who) && !runs(who),
        Action::Restart(who, _) | Action::Replace(who) => is_there(who),
        Action::Fire(who, timer) => {
            runs(who)
                && world
                    .server(who)
                    .node
                    .armed()
                    .any(|(_, armed)| armed == timer)
        }
        Action::Flap(who, other) => runs(who) && runs(other) && world.are_joined(who, other),
        Action::Move(index, who) => runs(who) && client(index).is_some(),
        Action::Ask(index, _) => client(index).is_some_and(|client| client.can_ask()),
        Action::Leave(index) => client(index).is_some_and(|client| client.is_open()),
        Action::Crash(who, _)
        | Action::Suspect(who, _)
        | Action::Wait(who)
        | Action::Open(who)
        | Action::Reconfigure(who, _)
        | Action::Stop(who) => runs(who),
        Action::Cut(a, b) | Action::Join(a, b) => is_there(a) && is_there(b) && a != b,
    }
}

/// A server's number.
pub fn server(word: &str) -> Result<ServerId, String> {
    let number = word.parse().map(ServerId);
    number.map_err(|_| format!("`{word}` is no server"))
}

fn client(word: &str) -> Result<usize, String> {
    let number = word
        .strip_prefix('c')
        .and_then(|number| number.parse::<usize>().ok());
    let index = number.and_then(|number| number.checked_sub(1));
    index.ok_or_else(|| format!("`{word}` is no client: c1, c2, ..."))
}

fn want(word: &str) -> Result<Want, String> {
    let found = Want::NAMES.iter().find(|(_, name)| *name == word);
    let found = found.map(|(want, _)| *want);
    found.ok_or_else(|| format!("no client can ask for `{word}`"))
}

/// A timer's word.
pub fn timer(word: &str) -> Result<Timer, String> {
    if let Some(session) = word.strip_prefix("expiry=0x") {
        let session = i64::from_str_radix(session, 16).map(SessionId);
        return session
            .map(Timer::Expiry)
            .map_err(|error| error.to_string());
    }
    match word {
        "election" => Ok(Timer::Election),
        "beat" => Ok(Timer::Beat),
        "quorum" => Ok(Timer::Quorum),
        "isolation" => Ok(Timer::Isolation),
        "tick" => Ok(Timer::Tick),
        "reap" => Ok(Timer::Reap),
        other => Err(format!("`{other}` is no timer")),
    }
}

fn kept(words: &[&str]) -> Result<usize, String> {
    let kept = words.iter().find_map(|word| word.strip_prefix("kept="));
    kept.map_or(Ok(0), |kept| {
        kept.parse().map_err(|_| format!("`{kept}` is no count"))
    })
}

/// Members: `voters=1,2,3 learners=4`; in groups `voters=1,2*5/3*0`, where weights follow stars.
pub fn wish(words: &[&str]) -> Result<Wish, String> {
    let after = |key: &str| {
        let value = words.iter().find_map(|word| word.strip_prefix(key));
        value.unwrap_or_default()
    };
    let learners = after("learners=").split(',');
    let learners = learners.filter(|name| !name.is_empty()).map(server);
    Ok(Wish {
        voters: voters(after("voters="))?,
        learners: learners.collect::<Result<_, String>>()?,
    })
}

fn voters(text: &str) -> Result<Voters, String> {
    let mut shares = BTreeMap::new();
    for (group, names) in (1..).zip(text.split('/')) {
        for name in names.split(',').filter(|name| !name.is_empty()) {
            let (name, weight) = match name.split_once('*') {
                None => (name, Ok(WEIGHT_DEFAULT)),
                Some((name, weight)) => (name, weight.parse()),
            };
            let weight = weight.map_err(|_| format!("`{text}` has a weight that is none"))?;
            shares.insert(server(name)?, Share { group, weight });
        }
    }
    match text.contains(['/', '*']) {
        true => Ok(Voters::in_groups(shares)),
        false => Ok(shares.into_keys().collect()),
    }
}

fn packet(world: &World, way: &str, name: &str) -> Result<Option<usize>, String> {
    let (from, to) = way
        .split_once('>')
        .ok_or(format!("`{way}` is no way: 1>2"))?;
    let (from, to) = (server(from)?, server(to)?);
    let (name, which) = name.split_once('.').unwrap_or((name, "1"));
    let which: usize = which
        .parse()
        .map_err(|_| format!("`{which}` is no number"))?;
    let packets = world.wire().packets().iter().enumerate();
    let mut alike = packets.filter(|(_, packet)| {
        packet.from == from && packet.to == to && packet.message.name() == name
    });
    let found = alike.nth(which.checked_sub(1).ok_or("messages are counted from 1")?);
    Ok(found.map(|(index, _)| index))
}
