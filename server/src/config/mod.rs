//! What an operator wants: flags, a file, and defaults for the rest.

pub mod client_certificates;
pub mod client_ports;
pub mod draft;
pub mod ensemble;
pub mod file;
pub mod gossip_secret;
pub mod operators;
pub mod settings;
pub mod toml_file;
pub mod zoo_cfg;
