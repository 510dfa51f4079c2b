//! Reads our own configuration file, in TOML. A key that we do not know is refused: it is a mistake
//! that would otherwise be found in production.

use std::net::SocketAddr;

use toml::de::{DeTable, DeValue};

use crate::config::draft::{ConfigError, Draft, Entry, LogFormat, Place};
use crate::config::settings::range;

/// All keys.
const KEYS: [&str; 13] = [
    "listen",
    "data_dir",
    "tick_ms",
    "session_timeout_min_ms",
    "session_timeout_max_ms",
    "snapshot_every",
    "snapshots_kept",
    "log_segment_bytes",
    "data_bytes_max",
    "max_connections",
    "max_connections_per_address",
    "log_format",
    "log_level",
];

/// Reads `text`, the contents of `file`.
///
/// # Errors
/// If it is not TOML, has an unknown key, or a value is not what its key stands for.
pub fn read(file: &str, text: &str) -> Result<Draft, ConfigError> {
    let table = DeTable::parse(text).map_err(|error| ConfigError::File {
        file: file.to_owned(),
        what: error.to_string(),
    })?;
    let mut draft = Draft::default();
    for (key, value) in table.get_ref() {
        let (line, column) = position(text, key.span().start);
        let place = Place {
            file: file.to_owned(),
            line,
            column: Some(column),
            key: key.get_ref().to_string(),
        };
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => number.to_string(),
                    Err(_) => number.as_str().to_owned(),
                }
            }
            other => {
                let what = format!("a {} does not belong here", other.type_str());
                return Err(ConfigError::At { place, what });
            }
        };
        set(&mut draft, &Entry { text, place })?;
    }
    Ok(draft)
}

fn set(draft: &mut Draft, entry: &Entry) -> Result<(), ConfigError> {
    match entry.place.key.as_str() {
        "listen" => {
            let Ok(listen) = entry.text.parse::<SocketAddr>() else {
                let text = &entry.text;
                return Err(entry.wrong(format!("`{text}` is not ADDRESS:PORT")));
            };
            draft.listen_address = Some(entry.given(listen.ip()));
            draft.listen_port = Some(entry.given(listen.port()));
        }
        "data_dir" => draft.data_dir = entry.path()?,
        "tick_ms" => draft.tick_ms = entry.number(range::TICK_MS)?,
        "session_timeout_min_ms" => {
            draft.session_timeout_min_ms = entry.number(range::SESSION_TIMEOUT_MS)?;
        }
        "session_timeout_max_ms" => {
            draft.session_timeout_max_ms = entry.number(range::SESSION_TIMEOUT_MS)?;
        }
        "snapshot_every" => draft.snapshot_every = entry.number(range::SNAPSHOT_EVERY)?,
        "snapshots_kept" => draft.snapshots_kept = entry.number(range::SNAPSHOTS_KEPT)?,
        "log_segment_bytes" => draft.log_segment_bytes = entry.number(range::LOG_SEGMENT_BYTES)?,
        "data_bytes_max" => draft.data_bytes_max = entry.number(range::DATA_BYTES_MAX)?,
        "max_connections" => draft.max_connections = entry.number(range::CONNECTIONS)?,
        "max_connections_per_address" => {
            draft.max_connections_per_address = entry.number(range::CONNECTIONS)?;
        }
        "log_format" => {
            draft.log_format = Some(entry.given(match entry.text.as_str() {
                "text" => LogFormat::Text,
                "json" => LogFormat::Json,
                other => return Err(entry.wrong(format!("`{other}` is neither text nor json"))),
            }));
        }
        "log_level" => draft.log_level = Some(entry.given(entry.text.clone())),
        _ => {
            let known = KEYS.join(", ");
            return Err(entry.wrong(format!("is not a key; the keys are {known}")));
        }
    }
    Ok(())
}

/// Line and column of a byte, from 1.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = &text[..byte];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Settings;
    use crate::limits::FRAME_SLACK_BYTES;
    use althing_core::time::Duration;

    fn settle(text: &str) -> Result<Settings, String> {
        let settled = read("althing.toml", text).and_then(Settings::settle);
        settled.map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        let settings = settle("").expect("defaults");
        assert_eq!(
            settings,
            Settings::settle(Draft::default()).expect("defaults")
        );
        assert_eq!(settings.listen.to_string(), "127.0.0.1:2181");
        assert_eq!(settings.config.session_timeout_max, Duration::from_secs(40));
    }

    #[test]
    fn every_key_is_read() {
        let settings = settle(
            r#"
            listen = "[::1]:2182"
            data_dir = "/var/lib/althing"
            tick_ms = 1_000
            session_timeout_min_ms = 500
            session_timeout_max_ms = 9000
            snapshot_every = 0x10
            snapshots_kept = 5
            log_segment_bytes = 1048576
            data_bytes_max = 2048
            max_connections = 7
            max_connections_per_address = 60
            log_format = "json"
            log_level = "debug"
            "#,
        )
        .expect("a good file");
        assert_eq!(settings.listen.to_string(), "[::1]:2182");
        assert_eq!(settings.data_dir.to_str(), Some("/var/lib/althing"));
        assert_eq!(settings.config.tick, Duration::from_secs(1));
        assert_eq!(
            settings.config.session_timeout_min,
            Duration::from_millis(500)
        );
        assert_eq!(settings.config.session_timeout_max, Duration::from_secs(9));
        assert_eq!(settings.config.snapshot_every, 16);
        assert_eq!(settings.storage.snapshots_kept, 5);
        assert_eq!(settings.storage.segment_bytes, 1_048_576);
        assert_eq!(settings.config.settings.data_bytes_max, 2048);
        assert_eq!(settings.limits.frame_bytes_max, 2048 + FRAME_SLACK_BYTES);
        assert_eq!(settings.limits.connections_max, 7);
        assert_eq!(settings.limits.connections_per_address_max, 60);
        assert_eq!(settings.log_format, LogFormat::Json);
        assert_eq!(settings.log_level.as_deref(), Some("debug"));
        assert_eq!(KEYS.len(), 13, "and these are all");
    }

    #[test]
    fn complaints_name_line_column_and_key() {
        for (text, complaint) in [
            (
                "tick_ms = 1",
                "althing.toml:1:1: tick_ms: `1` is not a whole number from 10 to 60000",
            ),
            (
                "\n  tick = 1",
                "althing.toml:2:3: tick: is not a key; the keys are listen, data_dir",
            ),
            (
                "listen = \"here\"",
                "althing.toml:1:1: listen: `here` is not ADDRESS:PORT",
            ),
            (
                "tick_ms = 1.5",
                "althing.toml:1:1: tick_ms: a float does not belong here",
            ),
            (
                "[log]\nlevel = 1",
                "althing.toml:1:2: log: a table does not belong here",
            ),
            (
                "log_format = \"xml\"",
                "althing.toml:1:1: log_format: `xml` is neither text nor",
            ),
            (
                "data_dir = \"\"",
                "althing.toml:1:1: data_dir: is empty, a directory was expected",
            ),
            (
                "tick_ms = 100\nsession_timeout_min_ms = 3000",
                "althing.toml:2:1: session_timeout_min_ms: the shortest session time-out, 3000 ms, \
                 is more than the longest, 2000 ms",
            ),
        ] {
            let told = settle(text).expect_err(text);
            assert!(told.starts_with(complaint), "{told}");
        }
        let told = settle("a = \n").expect_err("not TOML");
        assert!(told.contains("line 1, column"), "{told}");
    }
}
