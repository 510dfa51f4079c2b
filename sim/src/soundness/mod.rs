//! What a plan must be beyond its grammar: everything that it names exists, every figure is within
//! its limits, so that a run cannot stumble over its plan.

mod bounds;
mod faults;
mod names;
mod stories;
mod swarms;

pub use swarms::check_swarm;

use crate::cast;
use crate::key_path::{KeyPath, Unsound, refuse};
use crate::plan::{Fault, FaultKind, Plan, Which};
use crate::soundness::bounds::within;
use crate::soundness::faults::check_fault;
use crate::soundness::names::{check_name, check_server, check_set};
use crate::soundness::stories::{check_governed, check_workload};
use crate::span::Span;

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
