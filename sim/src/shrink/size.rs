//! How large a plan is, as shrinking tells it.

use std::fmt;

use crate::campaign::Outcome;
use crate::cast;
use crate::plan::Plan;

/// The figures of a plan and of its run that shrinking makes smaller.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Size {
    /// Faults.
    pub faults: usize,
    /// Clients that come onto the stage.
    pub clients: usize,
    /// Operations that they do in the first act.
    pub operations: usize,
    /// Servers.
    pub servers: u8,
}

impl Size {
    /// The size of `plan`, of which `outcome` came.
    pub fn of(plan: &Plan, outcome: &Outcome) -> Size {
        let done = |(name, count): (&String, &u32)| match plan.operations.get(name) {
            Some(only) => only.0.range(1..=*count).count(),
            None => *count as usize,
        };
        let clients = cast::clients(&plan.workload);
        let present = clients.iter().filter(|name| !plan.absent.contains(name));
        Size {
            faults: plan.faults.len(),
            clients: present.count(),
            operations: outcome.operations.iter().map(done).sum(),
            servers: plan.servers,
        }
    }

    /// `3 faults, 2 clients, 14 ops (from 212/9/4031)`.
    pub fn beside(&self, before: &Size) -> String {
        format!(
            "{self} (from {}/{}/{})",
            before.faults, before.clients, before.operations
        )
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |count: usize, noun: &str| match count {
            1 => format!("1 {noun}"),
            _ => format!("{count} {noun}s"),
        };
        let (faults, clients) = (
            counted(self.faults, "fault"),
            counted(self.clients, "client"),
        );
        write!(f, "{faults}, {clients}, {}", counted(self.operations, "op"))
    }
}
