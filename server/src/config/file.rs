//! Finds out in which of the two notations a configuration file is written, and reads it.

use std::fs;
use std::path::Path;

use crate::config::draft::ConfigError;
use crate::config::server_list;
use crate::config::toml_file;
use crate::config::zoo_cfg::{self, Read};

/// Reads the configuration file at `path`: `.toml` is TOML, `.cfg` and `.conf` are ZooKeeper's;
/// under another name, a file that gives one of ZooKeeper's keys is ZooKeeper's.
///
/// # Errors
/// If it cannot be read, or something in it is wrong.
pub fn read(path: &Path) -> Result<Read, ConfigError> {
    let file = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| ConfigError::File {
        file: file.clone(),
        what: error.to_string(),
    })?;
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("cfg" | "conf" | "properties") => read_zoo_cfg(&file, &text),
        Some("toml") => read_toml(&file, &text),
        _ if has_a_key_of_zookeeper(&text) => read_zoo_cfg(&file, &text),
        _ => read_toml(&file, &text),
    }
}

/// A zoo.cfg, and the file that it may name for the list of the servers.
fn read_zoo_cfg(file: &str, text: &str) -> Result<Read, ConfigError> {
    let mut read = zoo_cfg::read(file, text)?;
    if let Some(dynamic) = &read.dynamic {
        let text = fs::read_to_string(&dynamic.value);
        let text =
            text.map_err(|error| dynamic.wrong(format!("{}: {error}", dynamic.value.display())))?;
        let name = dynamic.value.display().to_string();
        server_list::read(&mut read.draft, &name, &text)?;
    }
    Ok(read.with_servers())
}

fn read_toml(file: &str, text: &str) -> Result<Read, ConfigError> {
    let draft = toml_file::read(file, text)?;
    Ok(Read {
        draft,
        ..Read::default()
    })
}

fn has_a_key_of_zookeeper(text: &str) -> bool {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .any(|(key, _)| zoo_cfg::KEYS.contains(&key.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notation_is_known_by_name_or_content() {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, text, port) in [
            ("zoo.cfg", "clientPort=1", 1),
            ("althing.toml", "listen = \"127.0.0.1:2\"", 2),
            ("configuration", "clientPort=3", 3),
            ("settings", "listen = \"127.0.0.1:4\"", 4),
        ] {
            let path = directory.path().join(name);
            fs::write(&path, text).expect("written");
            let read = read(&path).expect("a good file");
            let given = read.draft.listen_port.map(|given| given.value);
            assert_eq!(given, Some(port), "{name}");
        }
        let told = read(&directory.path().join("nowhere")).expect_err("no file");
        assert!(told.to_string().contains("nowhere: "), "{told}");
    }

    /// Reads a zoo.cfg whose servers are listed in a file beside it with this text.
    fn with_dynamic(dynamic: &str) -> Result<Read, String> {
        let directory = tempfile::tempdir().expect("a directory");
        let list = directory.path().join("zoo.cfg.dynamic.100000000");
        fs::write(&list, dynamic).expect("written");
        let path = directory.path().join("zoo.cfg");
        let text = format!("clientPort=1\ndynamicConfigFile={}\n", list.display());
        fs::write(&path, text).expect("written");
        let place = format!("{}/", directory.path().display());
        read(&path).map_err(|error| error.to_string().replace(&place, ""))
    }

    #[test]
    fn the_servers_of_a_dynamic_file_are_those_of_the_ensemble() {
        let text = "server.1=a:1:2;3\n\n# so it goes\nserver.2=b:1:2;3\ngroup.1=1:2\nweight.2=0\n\
                    version=100000000\n";
        let read = with_dynamic(text).expect("a good file");
        assert_eq!(read.draft.servers.len(), 2);
        assert!(read.draft.groups.is_some());
        let warning = "zoo.cfg.dynamic.100000000:1: server.1: elections go over the peer port";
        assert!(read.warnings[0].contains(warning), "{:?}", read.warnings);
        for (text, complaint) in [
            (
                "server.1=a:1:2\nclientPort=3",
                "zoo.cfg.dynamic.100000000:2: clientPort: is not a line of a dynamic",
            ),
            (
                "server.1=a:1:2\nserver.2=b",
                "zoo.cfg.dynamic.100000000:2: server.2: has no peer port",
            ),
            ("version=1", "zoo.cfg.dynamic.100000000: lists no server"),
        ] {
            let told = with_dynamic(text).expect_err(text);
            assert!(told.starts_with(complaint), "{told}");
        }
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("zoo.cfg");
        fs::write(&path, "dynamicConfigFile=/nowhere/zoo.cfg.dynamic").expect("written");
        let told = super::read(&path).expect_err("no file").to_string();
        let complaint = "zoo.cfg:1: dynamicConfigFile: /nowhere/zoo.cfg.dynamic: ";
        assert!(told.contains(complaint), "{told}");
    }
}
