//! What a plan must be beyond its grammar: everything that it names exists, every figure is within
//! its limits, so that a run cannot stumble over its plan.

use crate::cast;
use crate::cue::Cue;
use crate::key_path::{KeyPath, Unsound, refuse};
use crate::mix::Mix;
use crate::plan::{Fault, FaultKind, Heals, Plan, Which, Who, Workload};
use crate::span::Span;
use crate::swarm::{Between, CLIENTS, Kind, Ranges, SERVERS, Swarm};

/// Most servers of a plan: beyond eleven an ensemble only gets slower.
pub const SERVERS_MAX: u8 = 11;
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
/// The largest share of messages between servers that are shuffled: half of them still come as they
/// were sent, so what is said again gets through.
pub const SHUFFLE_MAX: f64 = 0.5;
/// The shortest period of a cut that comes and goes.
pub const FLAPS_MIN: Span = Span::millis(10);
/// The fastest drift: no clock of a machine that still boots is off by more than a tenth.
pub const DRIFT_PPM_MAX: i64 = 100_000;
/// The farthest jump of the wall clock: a year.
pub const JUMP_MS_MAX: i64 = 365 * 24 * 3600 * 1000;

/// Refuses a plan that names what does not exist, or has a figure beyond its limits.
pub fn check_plan(plan: &Plan) -> Result<(), Unsound> {
    if plan.servers == 0 || plan.servers > SERVERS_MAX {
        let message = format!("the number of servers is from 1 to {SERVERS_MAX}");
        return refuse(KeyPath::new("servers"), message);
    }
    check_learners(plan)?;
    check_groups(plan)?;
    within("lasts", plan.lasts, Span::millis(1), ACT_MAX)?;
    within("settles", plan.settles, Span::millis(1), ACT_MAX)?;
    check_workload(&plan.workload)?;
    check_governed(plan)?;
    let shares = [
        ("network.loss", plan.network.loss, LOSS_MAX),
        ("network.shuffle", plan.network.shuffle, SHUFFLE_MAX),
    ];
    for (key, share, most) in shares {
        if !(0.0..=most).contains(&share) {
            let message = format!("is a share of what is sent, from 0 to {most}");
            return refuse(KeyPath::new(key), message);
        }
    }
    let (network, zero) = (&plan.network, Span::default());
    within("network.delay_min", network.delay_min, zero, ACT_MAX)?;
    within("network.delay_mean", network.delay_mean, zero, ACT_MAX)?;
    within("disk.sync_median", plan.disk.sync_median, zero, ACT_MAX)?;
    if let Some(tick) = plan.server.tick_time {
        within("server.tickTime", tick, Span::millis(1), ACT_MAX)?;
    }
    if plan.server.snap_count.is_some_and(|count| count < 2) {
        return refuse(KeyPath::new("server.snapCount"), "must be at least 2");
    }
    if plan.server.segment_bytes == Some(0) {
        return refuse(KeyPath::new("server.segmentBytes"), "must be at least 1");
    }
    if let Some(burst) = plan.server.burst_without_rate() {
        return refuse(
            KeyPath::new(&format!("server.{burst}")),
            "there is no rate for it",
        );
    }
    check_left_out(plan)?;
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

/// What is left out of the story must be in it, and not be what it cannot be played without.
fn check_left_out(plan: &Plan) -> Result<(), Unsound> {
    let clients = cast::clients(&plan.workload);
    let known = |name: &String, key: KeyPath| match clients.contains(name) {
        true => Ok(()),
        false => refuse(key, format!("no client is called `{name}`")),
    };
    for (index, name) in plan.absent.iter().enumerate() {
        let key = KeyPath::new("absent").key(&index.to_string());
        known(name, key.clone())?;
        if !cast::can_be_absent(&plan.workload, name) {
            return refuse(key, format!("the story cannot be played without `{name}`"));
        }
    }
    for name in plan.operations.keys() {
        known(name, KeyPath::new("operations").key(name))?;
    }
    let ids = plan.faults.iter().enumerate();
    let mut ids: Vec<(u32, usize)> = ids
        .filter_map(|(index, fault)| Some((fault.id?, index)))
        .collect();
    ids.sort_unstable();
    match ids.windows(2).find(|two| two[0].0 == two[1].0) {
        Some(two) => refuse(
            KeyPath::new("faults").key(&format!("{}.id", two[1].1)),
            format!("faults[{}] is called {} already", two[0].1, two[0].0),
        ),
        None => Ok(()),
    }
}

fn check_learners(plan: &Plan) -> Result<(), Unsound> {
    for (index, learner) in plan.learners.iter().enumerate() {
        let key = KeyPath::new("learners").key(&index.to_string());
        check_server(plan, *learner, key.clone())?;
        if plan.learners[..index].contains(learner) {
            return refuse(key, format!("server {learner} is named twice"));
        }
    }
    if plan.voters().is_empty() {
        return refuse(KeyPath::new("learners"), "somebody has to vote");
    }
    Ok(())
}

/// Every voter is in one group, somebody has a weight, and it is known whose disks go.
fn check_groups(plan: &Plan) -> Result<(), Unsound> {
    let weights = KeyPath::new("weights");
    if plan.groups.is_empty() {
        return match plan.weights.is_empty() {
            true => Ok(()),
            false => refuse(weights, "are those of servers in `groups`"),
        };
    }
    let voters = plan.voters();
    let mut missing = voters.clone();
    for (index, group) in plan.groups.iter().enumerate() {
        let key = KeyPath::new("groups").key(&index.to_string());
        check_set(plan, group, &key)?;
        for (index, server) in group.iter().enumerate() {
            let Some(place) = missing.iter().position(|voter| voter == server) else {
                let key = key.key(&index.to_string());
                let message = format!("server {server} is in a group already, or does not vote");
                return refuse(key, message);
            };
            missing.remove(place);
        }
    }
    if let Some(server) = missing.first() {
        return refuse(
            KeyPath::new("groups"),
            format!("server {server} is in none"),
        );
    }
    if !plan.weights.is_empty() && plan.weights.len() != usize::from(plan.servers) {
        return refuse(weights, "are one for each server, or none at all");
    }
    let weighs = |server: &u8| plan.weights.get(usize::from(*server) - 1) != Some(&0);
    if !voters.iter().any(weighs) {
        return refuse(weights, "nobody has any");
    }
    let by_part = |fault: &Fault| match fault.what {
        FaultKind::BitRot { server, .. } | FaultKind::LostDisk { server, .. } => {
            !matches!(server, Which::Number(_))
        }
        _ => false,
    };
    match plan.faults.iter().position(by_part) {
        Some(place) => refuse(
            KeyPath::new("faults").key(&place.to_string()),
            "names its server where there are groups: which disks may be lost depends on it",
        ),
        None => Ok(()),
    }
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
        Workload::Mix(mix) => check_mix(mix),
        // The test judges what it declares itself.
        Workload::Service { .. } => Ok(()),
    }
}

fn check_mix(mix: &Mix) -> Result<(), Unsound> {
    let tiny = Span::millis(1);
    let Mix {
        clients,
        rest,
        znodes,
        session,
        rare,
        wishes,
        quotas,
        readers,
        proven,
    } = mix;
    if *rare > 100 {
        let message = format!("must be from 0 to 100, and is {rare}");
        return refuse(KeyPath::new("workload.mix.rare"), message);
    }
    count("workload.mix.clients", *clients, CLIENTS_MAX)?;
    for (key, some) in [("readers", readers), ("proven", proven)] {
        if some > clients {
            let message = format!("must be at most {clients}, the clients, and is {some}");
            return refuse(KeyPath::new(&format!("workload.mix.{key}")), message);
        }
    }
    within("workload.mix.rest", *rest, tiny, ACT_MAX)?;
    if let Some(every) = wishes {
        within("workload.mix.wishes", *every, tiny, ACT_MAX)?;
    }
    if let Some(every) = quotas {
        within("workload.mix.quotas", *every, tiny, ACT_MAX)?;
    }
    count("workload.mix.znodes", *znodes, ZNODES_MAX)?;
    within("workload.mix.session", *session, tiny, ACT_MAX)
}

/// A governor needs somebody to govern, and wishes for members that nobody knows beforehand.
fn check_governed(plan: &Plan) -> Result<(), Unsound> {
    let loses = |fault: &Fault| matches!(fault.what, FaultKind::LostDisk { .. });
    if !plan.workload.wishes() {
        return Ok(());
    }
    let message = if plan.servers < 3 {
        "wants at least three servers"
    } else if plan.heals == Heals::Quorum || plan.faults.iter().any(loses) {
        "does not go together with `heals = \"quorum\"` and with lost disks: of which members is \
         not known"
    } else {
        return Ok(());
    };
    refuse(KeyPath::new("workload.mix.wishes"), message)
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

#[allow(
    clippy::too_many_lines,
    reason = "one arm for each kind, and no two share a thought"
)]
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
    if plan.servers < kind.servers_min() {
        let message = format!("needs at least {} servers", kind.servers_min());
        return refuse(what, message);
    }
    let struck = |which: &Which| check_which(plan, *which, what.key("server"));
    match &fault.what {
        FaultKind::Crash { who, down: until } => {
            check_who(plan, who, &what)?;
            down(until)
        }
        FaultKind::Stop {
            server,
            down: until,
        }
        | FaultKind::PowerLoss {
            server,
            down: until,
        }
        | FaultKind::SyncError {
            server,
            down: until,
        } => {
            struck(server)?;
            down(until)
        }
        FaultKind::RollingRestart { down: until, gap } => {
            long("down", until)?;
            long("gap", gap)
        }
        FaultKind::PowerCut { down: until } => down(until),
        FaultKind::Pause { who, lasts } | FaultKind::Cut { who, lasts, .. } => {
            check_who(plan, who, &what)?;
            long("lasts", lasts)
        }
        FaultKind::Isolate { .. }
        | FaultKind::Split { .. }
        | FaultKind::Bridge { .. }
        | FaultKind::Ring { .. } => check_partition(plan, &fault.what, &what),
        FaultKind::Reset { who } => check_who(plan, who, &what),
        FaultKind::SlowLink { who, by, lasts } => {
            check_who(plan, who, &what)?;
            long("by", by)?;
            long("lasts", lasts)
        }
        FaultKind::SlowDisk { server, by, lasts } => {
            struck(server)?;
            long("by", by)?;
            long("lasts", lasts)
        }
        FaultKind::FullDisk { server, lasts } => {
            struck(server)?;
            long("lasts", lasts)
        }
        FaultKind::Restore { server, lasts } => {
            if !matches!(plan.workload, Workload::Mix(_)) {
                let message = "goes with the workload `mix` only: other stories do not bear that \
                               what they have written is taken back";
                return refuse(what.key("kind"), message);
            }
            struck(server)?;
            long("lasts", lasts)
        }
        FaultKind::BitRot {
            server,
            down: until,
            ..
        }
        | FaultKind::LostDisk {
            server,
            down: until,
        } => {
            struck(server)?;
            long("down", until)
        }
        FaultKind::PoisonedGossip { lasts } | FaultKind::SilencedGossip { lasts } => {
            long("lasts", lasts)
        }
        FaultKind::Reconfigure { voters, learners } => check_members(plan, voters, learners, &what),
        FaultKind::WallJump { server, by_ms } => {
            struck(server)?;
            magnitude(what.key("by_ms"), *by_ms, JUMP_MS_MAX)
        }
        FaultKind::ClockDrift { server, ppm } => {
            struck(server)?;
            magnitude(what.key("ppm"), i64::from(*ppm), DRIFT_PPM_MAX)
        }
        FaultKind::Own { name, lasts } => {
            check_own(plan, name, what.key("name"))?;
            match lasts {
                Some(lasts) => long("lasts", lasts),
                None => Ok(()),
            }
        }
    }
}

fn check_partition(plan: &Plan, fault: &FaultKind, what: &KeyPath) -> Result<(), Unsound> {
    let (lasts, flaps) = match fault {
        FaultKind::Isolate {
            server,
            lasts,
            flaps,
            ..
        }
        | FaultKind::Bridge {
            server,
            lasts,
            flaps,
            ..
        } => {
            check_which(plan, *server, what.key("server"))?;
            (lasts, flaps)
        }
        FaultKind::Split {
            servers,
            lasts,
            flaps,
            ..
        } => {
            check_set(plan, servers, &what.key("servers"))?;
            if servers.len() >= usize::from(plan.servers) {
                return refuse(what.key("servers"), "nobody is on the other side");
            }
            (lasts, flaps)
        }
        FaultKind::Ring { lasts, flaps, .. } => (lasts, flaps),
        other => unreachable!("{} is no partition", other.name()),
    };
    within_at(what.key("lasts"), *lasts, Span::millis(1), ACT_MAX)?;
    match flaps {
        Some(flaps) => within_at(what.key("flaps"), *flaps, FLAPS_MIN, ACT_MAX),
        None => Ok(()),
    }
}

fn check_own(plan: &Plan, name: &String, key: KeyPath) -> Result<(), Unsound> {
    let faults = cast::own_faults(&plan.workload);
    if !faults.contains(name) {
        let faults = faults.join(", ");
        let message = format!("the test has no fault `{name}` of its own; it has: {faults}");
        return refuse(key, message);
    }
    Ok(())
}

fn check_members(
    plan: &Plan,
    voters: &[u8],
    learners: &[u8],
    what: &KeyPath,
) -> Result<(), Unsound> {
    if plan.heals == Heals::Quorum || !plan.groups.is_empty() {
        return refuse(
            what.clone(),
            "does not go together with `heals = \"quorum\"` or `groups`: of which members is not \
             known",
        );
    }
    check_set(plan, voters, &what.key("voters"))?;
    if learners.is_empty() {
        return Ok(());
    }
    check_set(plan, learners, &what.key("learners"))?;
    match learners.iter().position(|learner| voters.contains(learner)) {
        Some(index) => refuse(
            what.key("learners").key(&index.to_string()),
            "votes already",
        ),
        None => Ok(()),
    }
}

/// A set of servers: not empty, of servers that there are, each once.
fn check_set(plan: &Plan, servers: &[u8], here: &KeyPath) -> Result<(), Unsound> {
    if servers.is_empty() {
        return refuse(here.clone(), "names nobody");
    }
    for (index, server) in servers.iter().enumerate() {
        let key = here.key(&index.to_string());
        check_server(plan, *server, key.clone())?;
        if servers[..index].contains(server) {
            return refuse(key, format!("server {server} is named twice"));
        }
    }
    Ok(())
}

fn check_which(plan: &Plan, which: Which, key: KeyPath) -> Result<(), Unsound> {
    match which {
        Which::Number(number) => check_server(plan, number, key),
        Which::Leader | Which::Follower => Ok(()),
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
        Who::Server(which) => check_which(plan, *which, what.key("who")),
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
            "nobody is called `{name}`; the story's names are {}; `leader` and `follower` are \
             servers",
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
        if *kind == Kind::Reconfigure && (plan.heals == Heals::Quorum || !plan.groups.is_empty()) {
            return refuse(
                here.key("faults").key(kind.name()),
                "does not go together with `heals = \"quorum\"` or `groups`: of which members is \
                 not known",
            );
        }
        check_ranges(plan, *kind, ranges, &here.key("faults").key(kind.name()))?;
    }
    for (name, ranges) in &swarm.own {
        let here = here.key("own").key(name);
        check_own(plan, name, here.clone())?;
        check_ranges(plan, Kind::Own, ranges, &here)?;
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
        ("gap", &ranges.gap),
    ];
    for (key, range) in spans {
        let Some(range) = range else { continue };
        forward(here.key(key), range)?;
        within_at(here.key(key), range.least(), Span::millis(1), ACT_MAX)?;
        within_at(here.key(key), range.most(), Span::millis(1), ACT_MAX)?;
    }
    if let Some(flaps) = &ranges.flaps {
        forward(here.key("flaps"), flaps)?;
        within_at(here.key("flaps"), flaps.least(), FLAPS_MIN, ACT_MAX)?;
        within_at(here.key("flaps"), flaps.most(), FLAPS_MIN, ACT_MAX)?;
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
            Who::Server(which) => check_which(plan, which, key)?,
            Who::Client(name) if name == SERVERS => {}
            Who::Client(_) if kind.strikes_servers_only() => {
                return refuse(
                    key,
                    format!("a fault of the kind `{}` strikes servers", kind.name()),
                );
            }
            Who::Client(name) if name == CLIENTS => {
                if cast::clients(&plan.workload).is_empty() {
                    return refuse(key, "there are no clients: the test has no processes");
                }
            }
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
