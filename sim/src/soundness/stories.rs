//! The figures of the stories.

use crate::key_path::{KeyPath, Unsound, refuse};
use crate::mix::Mix;
use crate::plan::{Fault, FaultKind, Heals, Plan, Workload};
use crate::soundness::bounds::{count, within};
use crate::soundness::{ACT_MAX, CLIENTS_MAX, ZNODES_MAX};
use crate::span::Span;

pub(super) fn check_workload(workload: &Workload) -> Result<(), Unsound> {
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
        thief,
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
    for (key, every) in [("wishes", wishes), ("quotas", quotas), ("thief", thief)] {
        if let Some(every) = every {
            within(&format!("workload.mix.{key}"), *every, tiny, ACT_MAX)?;
        }
    }
    count("workload.mix.znodes", *znodes, ZNODES_MAX)?;
    within("workload.mix.session", *session, tiny, ACT_MAX)
}

/// A governor needs somebody to govern, and wishes for members that nobody knows beforehand.
pub(super) fn check_governed(plan: &Plan) -> Result<(), Unsound> {
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
