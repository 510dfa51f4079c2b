//! What an operator wants: flags, a file, and defaults for the rest.

pub mod authentication;
pub mod client_certificates;
pub mod client_limits;
pub mod client_ports;
pub mod draft;
pub mod ensemble;
pub mod file;
pub mod gossip_secret;
pub mod operators;
pub mod sasl_users;
pub mod server_list;
pub mod settings;
#[cfg(test)]
mod settled;
pub mod toml_file;
mod toml_keys;
pub mod zoo_cfg;
