//! What seeds are drawn from.

use crate::cast;
use crate::key_path::{KeyPath, Unsound, refuse};
use crate::plan::{Heals, Plan, Who};
use crate::soundness::bounds::{forward, magnitude, share, within_at};
use crate::soundness::names::{check_client, check_own, check_which};
use crate::soundness::{ACT_MAX, DRIFT_PPM_MAX, FLAPS_MIN, JUMP_MS_MAX};
use crate::span::Span;
use crate::swarm::{CLIENTS, Kind, Ranges, SERVERS, Swarm};

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
