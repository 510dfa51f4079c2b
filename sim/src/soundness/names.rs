//! Names and numbers of what there is.

use crate::cast;
use crate::key_path::{KeyPath, Unsound, refuse};
use crate::plan::{Plan, Which, Who};

pub(super) fn check_name(plan: &Plan, name: &str, key: KeyPath) -> Result<(), Unsound> {
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

pub(super) fn check_own(plan: &Plan, name: &String, key: KeyPath) -> Result<(), Unsound> {
    let faults = cast::own_faults(&plan.workload);
    if !faults.contains(name) {
        let faults = faults.join(", ");
        let message = format!("the test has no fault `{name}` of its own; it has: {faults}");
        return refuse(key, message);
    }
    Ok(())
}

pub(super) fn check_which(plan: &Plan, which: Which, key: KeyPath) -> Result<(), Unsound> {
    match which {
        Which::Number(number) => check_server(plan, number, key),
        Which::Leader | Which::Follower => Ok(()),
    }
}

pub(super) fn check_who(plan: &Plan, who: &Who, what: &KeyPath) -> Result<(), Unsound> {
    match who {
        Who::Server(which) => check_which(plan, *which, what.key("who")),
        Who::Client(name) => check_client(plan, name, what.key("who")),
    }
}

/// A set of servers: not empty, of servers that there are, each once.
pub(super) fn check_set(plan: &Plan, servers: &[u8], here: &KeyPath) -> Result<(), Unsound> {
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

pub(super) fn check_server(plan: &Plan, server: u8, key: KeyPath) -> Result<(), Unsound> {
    if server == 0 || server > plan.servers {
        let servers = plan.servers;
        let message = format!("there is no server {server}: servers are numbered 1 to {servers}");
        return refuse(key, message);
    }
    Ok(())
}

pub(super) fn check_client(plan: &Plan, name: &str, key: KeyPath) -> Result<(), Unsound> {
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
