//! Finds out in which of the two notations a configuration file is written, and reads it.

use std::fs;
use std::path::Path;

use crate::config::draft::ConfigError;
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
        Some("cfg" | "conf" | "properties") => zoo_cfg::read(&file, &text),
        Some("toml") => read_toml(&file, &text),
        _ if has_a_key_of_zookeeper(&text) => zoo_cfg::read(&file, &text),
        _ => read_toml(&file, &text),
    }
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
}
