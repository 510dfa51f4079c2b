//! For tests: what becomes of the text of a file.

use althing_core::config::Config;

use crate::config::draft::Draft;
use crate::config::ensemble::Identity;
use crate::config::settings::Settings;
use crate::config::{toml_file, zoo_cfg};

fn of(draft: Draft) -> Result<Settings, String> {
    Settings::settle(draft, &Identity::default()).map_err(|error| error.to_string())
}

/// The settings of a file of ours, or why there are none.
pub fn of_toml(text: &str) -> Result<Settings, String> {
    of(toml_file::read("t.toml", text).map_err(|error| error.to_string())?)
}

/// The settings of a `zoo.cfg` that nobody is warned about.
pub fn of_zoo_cfg(text: &str) -> Result<Settings, String> {
    let read = zoo_cfg::read("zoo.cfg", text).map_err(|error| error.to_string())?;
    assert!(read.warnings.is_empty(), "{:?}", read.warnings);
    of(read.draft)
}

/// What a file of ours says of the core.
pub fn config_of_toml(text: &str) -> Result<Config, String> {
    of_toml(text).map(|settings| settings.config)
}

/// What a `zoo.cfg` that nobody is warned about says of the core.
pub fn config_of_zoo_cfg(text: &str) -> Result<Config, String> {
    of_zoo_cfg(text).map(|settings| settings.config)
}
