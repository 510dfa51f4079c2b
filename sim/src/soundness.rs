//! What a plan must be beyond its grammar: everything that it names exists, every figure is within
//! its limits, so that a run cannot stumble over its plan.

use std::fmt;

use crate::cast;
use crate::plan::{Cue, Fault, FaultKind, Plan, Who, Workload};
use crate::span::Span;
use crate::swarm::{Between, CLIENTS, Kind, Ranges, SERVERS, Swarm};

/// Most servers of a plan. An ensemble is one server until servers can agree with one another.
pub const SERVERS_MAX: u8 = 1;
/// Most faults of a plan: far more than the shortest act with the liveliest swarm draws on average.
pub const FAULTS_MAX: usize = 1_000;
/// Most clients of a story: the speed of a run falls with their number.
pub const CLIENTS_MAX: u32 = 1_000;
/// Most znodes or files of a story: all of them fit into one listing.
pub const ZNODES_MAX: u32 = 10_000;
/// The longest act: a run keeps its whole history in memory.
pub const ACT_MAX: Span = Span::secs(24 * 3600);
/// The most lossy weather in which a stream that sends again still makes progress.
pub const LOSS_MAX: f64 = 0.9;
/// The fastest drift: no clock of a machine that still boots is off by more than a tenth.
pub const DRIFT_PPM_MAX: i64 = 100_000;
/// The farthest jump of the wall clock: a year.
pub const JUMP_MS_MAX: i64 = 365 * 24 * 3600 * 1000;

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

fn refuse<T>(key: KeyPath, message: impl Into<String>) -> Result<T, Unsound> {
    Err(Unsound {
        key,
        message: message.into(),
    })
}

/// Refuses a plan that names what does not exist, or has a figure beyond its limits.
pub fn check_plan(plan: &Plan) -> Result<(), Unsound> {
    if plan.servers == 0 || plan.servers > SERVERS_MAX {
        let message = format!("the number of servers is from 1 to {SERVERS_MAX}");
        return refuse(KeyPath::new("servers"), message);
    }
    within("lasts", plan.lasts, Span::millis(1), ACT_MAX)?;
    within("settles", plan.settles, Span::millis(1), ACT_MAX)?;
    check_workload(&plan.workload)?;
    if !(0.0..=LOSS_MAX).contains(&plan.network.loss) {
        let message = format!("a loss is a share of the packets, from 0 to {LOSS_MAX}");
        return refuse(KeyPath::new("network.loss"), message);
    }
    within(
        "network.delay_min",
        plan.network.delay_min,
        Span::default(),
        ACT_MAX,
    )?;
    within(
        "network.delay_mean",
        plan.network.delay_mean,
        Span::default(),
        ACT_MAX,
    )?;
    within(
        "disk.sync_median",
        plan.disk.sync_median,
        Span::default(),
        ACT_MAX,
    )?;
    if let Some(tick) = plan.server.tick_time {
        within("server.tickTime", tick, Span::millis(1), ACT_MAX)?;
    }
    if plan.server.snap_count.is_some_and(|count| count < 2) {
        return refuse(KeyPath::new("server.snapCount"), "must be at least 2");
    }
    if plan.server.segment_bytes == Some(0) {
        return refuse(KeyPath::new("server.segmentBytes"), "must be at least 1");
    }
    if plan.faults.len() > FAULTS_MAX {
        let message = format!("a plan has at most {FAULTS_MAX} faults");
        return refuse(KeyPath::new("faults"), message);
    }
    for (index, fault) in plan.faults.iter().enumerate() {
        check_fault(plan, index, fault)?;
    }
    for (index, name) in plan.reaches.iter().enumerate() {
        let key = KeyPath::new("reaches").key(&index.to_string());
        check_name(plan, name, key)?;
    }
    Ok(())
}

fn within(key: &str, span: Span, least: Span, most: Span) -> Result<(), Unsound> {
    within_at(KeyPath::new(key), span, least, most)
}

fn within_at(key: KeyPath, span: Span, least: Span, most: Span) -> Result<(), Unsound> {
    if span < least || span > most {
        return refuse(
            key,
            format!("must be from {least} to {most}, and is {span}"),
        );
    }
    Ok(())
}

fn check_workload(workload: &Workload) -> Result<(), Unsound> {
    let tiny = Span::millis(1);
    match workload {
        Workload::ServiceTree {
            readers,
            change_every,
        } => {
            count("workload.service-tree.readers", *readers, CLIENTS_MAX)?;
            within(
                "workload.service-tree.change_every",
                *change_every,
                tiny,
                ACT_MAX,
            )
        }
        Workload::Shard {
            slaves,
            session,
            write_every,
        } => {
            count("workload.shard.slaves", *slaves, CLIENTS_MAX)?;
            within("workload.shard.session", *session, tiny, ACT_MAX)?;
            within("workload.shard.write_every", *write_every, tiny, ACT_MAX)
        }
        Workload::Lock {
            clients,
            hold,
            session,
        } => {
            count("workload.lock.clients", *clients, CLIENTS_MAX)?;
            within("workload.lock.hold", *hold, Span::default(), ACT_MAX)?;
            within("workload.lock.session", *session, tiny, ACT_MAX)
        }
        Workload::Rollout {
            files,
            readers,
            every,
        } => {
            count("workload.rollout.files", *files, ZNODES_MAX)?;
            count("workload.rollout.readers", *readers, CLIENTS_MAX)?;
            within("workload.rollout.every", *every, tiny, ACT_MAX)
        }
        Workload::Mix {
            clients,
            rest,
            znodes,
            session,
        } => {
            count("workload.mix.clients", *clients, CLIENTS_MAX)?;
            within("workload.mix.rest", *rest, tiny, ACT_MAX)?;
            count("workload.mix.znodes", *znodes, ZNODES_MAX)?;
            within("workload.mix.session", *session, tiny, ACT_MAX)
        }
    }
}

fn count(key: &str, count: u32, most: u32) -> Result<(), Unsound> {
    if count == 0 || count > most {
        let message = format!("must be from 1 to {most}, and is {count}");
        return refuse(KeyPath::new(key), message);
    }
    Ok(())
}

fn check_name(plan: &Plan, name: &str, key: KeyPath) -> Result<(), Unsound> {
    let names = cast::names(&plan.workload);
    if !names.contains(&name) {
        let names = names.join(", ");
        return refuse(
            key,
            format!("nothing is called `{name}`; in this story, these are: {names}"),
        );
    }
    Ok(())
}

fn check_fault(plan: &Plan, index: usize, fault: &Fault) -> Result<(), Unsound> {
    let here = KeyPath::new("faults").key(&index.to_string());
    check_cue(plan, index, &fault.when, &here.key("when"))?;
    let kind = Kind::of(&fault.what);
    let what = here.key("what").key(kind.name());
    let long = |key: &str, span: &Span| within_at(what.key(key), *span, Span::millis(1), ACT_MAX);
    let down = |down: &Option<Span>| match down {
        Some(down) => long("down", down),
        None => Ok(()),
    };
    match &fault.what {
        FaultKind::Crash { who, down: until } => {
            check_who(plan, who, &what)?;
            down(until)
        }
        FaultKind::PowerLoss {
            server,
            down: until,
        }
        | FaultKind::SyncError {
            server,
            down: until,
        } => {
            check_server(plan, *server, what.key("server"))?;
            down(until)
        }
        FaultKind::Pause { who, lasts } | FaultKind::Cut { who, lasts, .. } => {
            check_who(plan, who, &what)?;
            long("lasts", lasts)
        }
        FaultKind::Reset { who } => check_who(plan, who, &what),
        FaultKind::SlowLink { who, by, lasts } => {
            check_who(plan, who, &what)?;
            long("by", by)?;
            long("lasts", lasts)
        }
        FaultKind::SlowDisk { server, by, lasts } => {
            check_server(plan, *server, what.key("server"))?;
            long("by", by)?;
            long("lasts", lasts)
        }
        FaultKind::FullDisk { server, lasts } => {
            check_server(plan, *server, what.key("server"))?;
            long("lasts", lasts)
        }
        FaultKind::BitRot {
            server,
            down: until,
            ..
        } => {
            check_server(plan, *server, what.key("server"))?;
            long("down", until)
        }
        FaultKind::WallJump { server, by_ms } => {
            check_server(plan, *server, what.key("server"))?;
            magnitude(what.key("by_ms"), *by_ms, JUMP_MS_MAX)
        }
        FaultKind::ClockDrift { server, ppm } => {
            check_server(plan, *server, what.key("server"))?;
            magnitude(what.key("ppm"), i64::from(*ppm), DRIFT_PPM_MAX)
        }
    }
}

fn magnitude(key: KeyPath, figure: i64, most: i64) -> Result<(), Unsound> {
    if figure < -most || figure > most {
        let message = format!("must be from -{most} to {most}, and is {figure}");
        return refuse(key, message);
    }
    Ok(())
}

fn check_cue(plan: &Plan, index: usize, cue: &Cue, here: &KeyPath) -> Result<(), Unsound> {
    match cue {
        Cue::At { at } if *at > plan.lasts => {
            let message = format!(
                "is after the end of the first act, which lasts {}",
                plan.lasts
            );
            refuse(here.key("at"), message)
        }
        Cue::At { .. } => Ok(()),
        Cue::On { nth: 0, .. } => refuse(here.key("nth"), "counts from 1"),
        Cue::On { on, after, .. } => {
            check_name(plan, on, here.key("on"))?;
            within_at(here.key("after"), *after, Span::default(), ACT_MAX)
        }
        Cue::Then { .. } if index == 0 => {
            refuse(here.key("then"), "no fault stands before the first")
        }
        Cue::Then { then } => within_at(here.key("then"), *then, Span::default(), ACT_MAX),
    }
}

fn check_who(plan: &Plan, who: &Who, what: &KeyPath) -> Result<(), Unsound> {
    match who {
        Who::Server(server) => check_server(plan, *server, what.key("who")),
        Who::Client(name) => check_client(plan, name, what.key("who")),
    }
}

fn check_server(plan: &Plan, server: u8, key: KeyPath) -> Result<(), Unsound> {
    if server == 0 || server > plan.servers {
        let servers = plan.servers;
        let message = format!("there is no server {server}: servers are numbered 1 to {servers}");
        return refuse(key, message);
    }
    Ok(())
}

fn check_client(plan: &Plan, name: &str, key: KeyPath) -> Result<(), Unsound> {
    let clients = cast::clients(&plan.workload);
    let parts = cast::parts(&plan.workload);
    if !parts.contains(&name) && !clients.iter().any(|client| client == name) {
        let parts = parts.iter().map(|part| (*part).to_owned());
        let known: Vec<String> = clients.iter().cloned().chain(parts).take(20).collect();
        let message = format!(
            "nobody is called `{name}`; the story's names are {}",
            known.join(", ")
        );
        return refuse(key, message);
    }
    Ok(())
}

/// Refuses a swarm that names what does not exist, or has an empty range. That the figures and the
/// drawn faults are sound is checked by drawing their ends; see [`crate::draw`].
pub fn check_swarm(plan: &Plan, swarm: &Swarm) -> Result<(), Unsound> {
    let here = KeyPath::new("swarm");
    share(here.key("calm"), swarm.calm)?;
    share(here.key("single"), swarm.single)?;
    if swarm.calm + swarm.single > 1.0 {
        return refuse(
            here.key("single"),
            "`calm` and `single` together are at most 1",
        );
    }
    for (kind, ranges) in &swarm.faults {
        check_ranges(plan, *kind, ranges, &here.key("faults").key(kind.name()))?;
    }
    Ok(())
}

fn share(key: KeyPath, share: f64) -> Result<(), Unsound> {
    if !(0.0..=1.0).contains(&share) {
        return refuse(key, "is a share of the seeds, from 0 to 1");
    }
    Ok(())
}

fn check_ranges(plan: &Plan, kind: Kind, ranges: &Ranges, here: &KeyPath) -> Result<(), Unsound> {
    if let Some(key) = ranges.beyond(&kind.ranges()) {
        let message = format!("a fault of the kind `{}` has no `{key}`", kind.name());
        return refuse(here.key(key), message);
    }
    share(here.key("chance"), ranges.chance.unwrap_or_default())?;
    let spans = [
        ("every", &ranges.every),
        ("down", &ranges.down),
        ("lasts", &ranges.lasts),
        ("by", &ranges.by),
    ];
    for (key, range) in spans {
        let Some(range) = range else { continue };
        forward(here.key(key), range)?;
        within_at(here.key(key), range.least(), Span::millis(1), ACT_MAX)?;
        within_at(here.key(key), range.most(), Span::millis(1), ACT_MAX)?;
    }
    let figures = [
        ("by_ms", &ranges.by_ms, JUMP_MS_MAX),
        ("ppm", &ranges.ppm, DRIFT_PPM_MAX),
    ];
    for (key, range, most) in figures {
        let Some(range) = range else { continue };
        forward(here.key(key), range)?;
        magnitude(here.key(key), range.least(), most)?;
        magnitude(here.key(key), range.most(), most)?;
    }
    let whom = ranges.whom.iter().flatten().enumerate();
    for (index, name) in whom {
        let key = here.key("whom").key(&index.to_string());
        match Who::from(name.clone()) {
            Who::Server(server) => check_server(plan, server, key)?,
            Who::Client(name) if name == SERVERS || name == CLIENTS => {}
            Who::Client(name) => check_client(plan, &name, key)?,
        }
    }
    let lists = [
        ("whom", ranges.whom.as_ref().map(Vec::len)),
        ("place", ranges.place.as_ref().map(Vec::len)),
        ("direction", ranges.direction.as_ref().map(Vec::len)),
    ];
    match lists.iter().find(|(_, len)| *len == Some(0)) {
        Some((key, _)) => refuse(here.key(key), "has nothing to draw from"),
        None => Ok(()),
    }
}

fn forward<T: Copy + PartialOrd>(key: KeyPath, range: &Between<T>) -> Result<(), Unsound> {
    if range.least() > range.most() {
        return refuse(key, "the least stands before the most");
    }
    Ok(())
}
