//! The lines of ZooKeeper's configuration that list an ensemble: its servers, their groups and
//! weights; in the zoo.cfg itself, or in the file that its `dynamicConfigFile` names.

use std::path::PathBuf;

use althing_core::listed::{self, ListedServer};
use althing_core::voters::Groups;

use crate::config::draft::{ConfigError, Draft, Entry, Given, Place};

/// What a line was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// One of these, and it is in the draft.
    Yes,
    /// Something else.
    No,
}

/// Takes a line, if it lists something of an ensemble.
///
/// # Errors
/// If it says what it cannot, or what was said already.
pub fn take(draft: &mut Draft, entry: &Entry) -> Result<Taken, ConfigError> {
    match entry.place.key.split_once('.') {
        Some(("server", id)) => server(draft, id, entry)?,
        Some(("group", number)) => group(draft, number, entry)?,
        Some(("weight", id)) => weight(draft, id, entry)?,
        _ => return Ok(Taken::No),
    }
    Ok(Taken::Yes)
}

/// Reads `text`, the contents of `file`, which a `dynamicConfigFile` names.
///
/// # Errors
/// If there is anything else in it, or what a line says cannot be.
pub fn read(draft: &mut Draft, file: &str, text: &str) -> Result<(), ConfigError> {
    for entry in lines(file, text) {
        // ZooKeeper has it in the file's name; it is in what `/zookeeper/config` shows.
        let is_version = entry.place.key == "version";
        if take(draft, &entry)? == Taken::No && !is_version {
            return Err(entry.wrong(
                "is not a line of a dynamic configuration, which has server.ID, group.ID, \
                 weight.ID and version",
            ));
        }
    }
    match draft.servers.is_empty() {
        false => Ok(()),
        true => Err(ConfigError::File {
            file: file.to_owned(),
            what: "lists no server".to_owned(),
        }),
    }
}

/// The lines of a file in ZooKeeper's notation, but for comments.
pub fn lines(file: &str, text: &str) -> impl Iterator<Item = Entry> {
    let lines = text.lines().enumerate();
    lines.filter_map(move |(index, line)| {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', '!']) {
            return None;
        }
        let (key, value) = line.split_once(['=', ':']).unwrap_or((line, ""));
        Some(Entry {
            text: value.trim().to_owned(),
            place: Place {
                file: file.to_owned(),
                line: index + 1,
                column: None,
                key: key.trim().to_owned(),
            },
        })
    })
}

/// The first line that gives a port for elections.
pub fn election_port(draft: &Draft) -> Option<&Place> {
    let servers = draft.servers.values();
    let with_port = servers.filter(|given| given.value.at.election_port.is_some());
    with_port
        .map(|given| &given.place)
        .min_by_key(|place| place.line)
}

/// A line `server.ID=...`.
fn server(draft: &mut Draft, id: &str, entry: &Entry) -> Result<(), ConfigError> {
    let id = listed::id(id).map_err(|what| entry.wrong(what))?;
    let server = ListedServer::parse(&entry.text).map_err(|what| entry.wrong(what))?;
    match draft.servers.insert(id, entry.given(server)) {
        None => Ok(()),
        Some(earlier) => Err(entry.wrong(format!(
            "server {id} is listed already, at {}",
            earlier.place
        ))),
    }
}

/// A line `group.NUMBER=...`.
///
/// # Errors
/// If it says what it cannot, or what was said already.
pub fn group(draft: &mut Draft, number: &str, entry: &Entry) -> Result<(), ConfigError> {
    let groups = draft
        .groups
        .get_or_insert_with(|| entry.given(Groups::default()));
    let taken = groups.value.put_group(number, &entry.text);
    taken.map_err(|what| entry.wrong(what))
}

/// A line `weight.ID=...`.
///
/// # Errors
/// If it says what it cannot, or what was said already.
pub fn weight(draft: &mut Draft, id: &str, entry: &Entry) -> Result<(), ConfigError> {
    let groups = draft
        .groups
        .get_or_insert_with(|| entry.given(Groups::default()));
    let taken = groups.value.put_weight(id, &entry.text);
    taken.map_err(|what| entry.wrong(what))
}

/// The complaint that the servers stand in two files.
pub fn twice(draft: &Draft, dynamic: &Given<PathBuf>) -> Option<ConfigError> {
    let server = draft.servers.values().map(|given| &given.place);
    let group = draft.groups.iter().map(|given| &given.place);
    let first = server.chain(group).min_by_key(|place| place.line)?;
    Some(dynamic.wrong(format!(
        "the servers are listed in that file, and here too, at {first}"
    )))
}
