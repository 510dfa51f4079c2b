//! TLS: with clients, and between servers.

pub mod clients;
pub mod files;
pub mod fresh;
pub mod peers;
pub mod stream;
#[cfg(test)]
mod test_authority;
