//! A configuration in the making: what was given, and where, so that every complaint can say it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use althing_core::ids::ServerId;
use althing_core::listed::{self, ListedServer, PeerRole};
use althing_core::voters::Groups;
use thiserror::Error;

use crate::config::client_certificates::ClientCertificates;
use crate::words::Whitelist;

/// Where something stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The file, as it was named.
    pub file: String,
    /// Counts from 1.
    pub line: usize,
    /// Counts from 1; `None` where the key alone tells.
    pub column: Option<usize>,
    /// The key.
    pub key: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)?;
        if let Some(column) = self.column {
            write!(f, ":{column}")?;
        }
        write!(f, ": {}", self.key)
    }
}

/// What is wrong with a configuration.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ConfigError {
    /// A value, or a key, at a place.
    #[error("{place}: {what}")]
    At {
        /// Where.
        place: Place,
        /// What is wrong.
        what: String,
    },
    /// A flag.
    #[error("{flag}: {what}")]
    Flag {
        /// Which.
        flag: &'static str,
        /// What is wrong.
        what: String,
    },
    /// The file cannot be read, or has no structure.
    #[error("{file}: {what}")]
    File {
        /// The file.
        file: String,
        /// What is wrong.
        what: String,
    },
}

/// A value and where it was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Given<T> {
    /// The value.
    pub value: T,
    /// Where it was given.
    pub place: Place,
}

impl<T> Given<T> {
    /// The complaint about this value.
    pub fn wrong(&self, what: impl Into<String>) -> ConfigError {
        ConfigError::At {
            place: self.place.clone(),
            what: what.into(),
        }
    }
}

/// The format of the log lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A port that may be asked for: each part on its own, as a zoo.cfg gives it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// Is it wanted? If this is silent, it is as soon as something else is said of it.
    pub enabled: Option<Given<bool>>,
    /// The address; without one, only this machine reaches it.
    pub address: Option<Given<IpAddr>>,
    /// The port.
    pub port: Option<Given<u16>>,
}

/// How often something may be asked for, as it was given.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WantedRate {
    /// Requests each second.
    pub per_second: Option<Given<u32>>,
    /// Requests at once.
    pub burst: Option<Given<u32>>,
}

/// What was given; `None` where nothing was.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[allow(
    missing_docs,
    reason = "each is the key of the same name; see `settings`"
)]
pub struct Draft {
    pub listen_address: Option<Given<IpAddr>>,
    pub listen_port: Option<Given<u16>>,
    pub data_dir: Option<Given<PathBuf>>,
    pub tick_ms: Option<Given<u32>>,
    pub session_timeout_min_ms: Option<Given<u32>>,
    pub session_timeout_max_ms: Option<Given<u32>>,
    pub snapshot_every: Option<Given<u32>>,
    pub snapshots_kept: Option<Given<usize>>,
    pub log_segment_bytes: Option<Given<u64>>,
    pub data_bytes_max: Option<Given<u32>>,
    pub reply_bytes_max: Option<Given<usize>>,
    pub session_rate: WantedRate,
    pub address_rate: WantedRate,
    pub identity_rate: WantedRate,
    pub max_connections: Option<Given<usize>>,
    pub max_connections_per_address: Option<Given<usize>>,
    pub id: Option<Given<ServerId>>,
    pub servers: BTreeMap<ServerId, Given<ListedServer>>,
    pub groups: Option<Given<Groups>>,
    pub peer_type: Option<Given<PeerRole>>,
    pub peer_listen_address: Option<Given<IpAddr>>,
    pub peer_tls_certificate: Option<Given<PathBuf>>,
    pub peer_tls_key: Option<Given<PathBuf>>,
    pub peer_tls_authority: Option<Given<PathBuf>>,
    pub secure: Wanted,
    pub port_unification: Option<Given<bool>>,
    pub client_tls_certificate: Option<Given<PathBuf>>,
    pub client_tls_key: Option<Given<PathBuf>>,
    pub client_tls_authority: Option<Given<PathBuf>>,
    pub client_certificates: Option<Given<ClientCertificates>>,
    pub super_digest: Option<Given<String>>,
    pub super_subject: Option<Given<String>>,
    pub super_sasl: Option<Given<String>>,
    pub sasl_users_file: Option<Given<PathBuf>>,
    pub allow_failed_sasl: Option<Given<bool>>,
    pub enforce_auth: Option<Given<bool>>,
    pub enforce_auth_schemes: Option<Given<String>>,
    pub require_sasl: Option<Given<bool>>,
    pub gossip_secret_file: Option<Given<PathBuf>>,
    pub election_timeout_ms: Option<Given<u32>>,
    pub beat_ms: Option<Given<u32>>,
    pub isolation_timeout_ms: Option<Given<u32>>,
    pub read_only_mode: Option<Given<bool>>,
    pub local_sessions: Option<Given<bool>>,
    pub local_session_upgrades: Option<Given<bool>>,
    pub reap_interval_ms: Option<Given<u32>>,
    pub reconfig: Option<Given<bool>>,
    pub enforce_quotas: Option<Given<bool>>,
    pub admin: Wanted,
    pub admin_snapshot: Option<Given<bool>>,
    pub admin_snapshot_pause_ms: Option<Given<u32>>,
    pub admin_restore: Option<Given<bool>>,
    pub metrics: Wanted,
    pub four_letter_words: Option<Given<Whitelist>>,
    pub audit: Option<Given<bool>>,
    pub audit_file: Option<Given<PathBuf>>,
    pub audit_files_kept: Option<Given<usize>>,
    pub log_format: Option<Given<LogFormat>>,
    pub log_level: Option<Given<String>>,
}

/// A value as it stands in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The text of the value, without quotes.
    pub text: String,
    /// Where.
    pub place: Place,
}

impl Entry {
    /// The complaint about this entry.
    pub fn wrong(&self, what: impl Into<String>) -> ConfigError {
        ConfigError::At {
            place: self.place.clone(),
            what: what.into(),
        }
    }

    /// The value that is a whole number within `range`.
    ///
    /// # Errors
    /// If it is none.
    pub fn number<T>(&self, range: RangeInclusive<T>) -> Result<Option<Given<T>>, ConfigError>
    where
        T: FromStr + PartialOrd + fmt::Display,
    {
        let number = self.text.parse().ok();
        match number.filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(self.given(number))),
            None => {
                let (least, most) = (range.start(), range.end());
                let text = &self.text;
                Err(self.wrong(format!(
                    "`{text}` is not a whole number from {least} to {most}"
                )))
            }
        }
    }

    /// The value that is an IP address.
    ///
    /// # Errors
    /// If it is none.
    pub fn address(&self) -> Result<Option<Given<IpAddr>>, ConfigError> {
        match self.text.as_str() {
            // Java resolves it; nothing else is worth a resolver here.
            "localhost" => Ok(Some(self.given(IpAddr::from([127, 0, 0, 1])))),
            text => match text.parse() {
                Ok(address) => Ok(Some(self.given(address))),
                Err(_) => Err(self.wrong(format!("`{text}` is not an IP address"))),
            },
        }
    }

    /// The value that is an address and a port, as parts of `wanted`.
    ///
    /// # Errors
    /// If it is none.
    pub fn endpoint(&self, wanted: &mut Wanted) -> Result<(), ConfigError> {
        let Ok(listen) = self.text.parse::<SocketAddr>() else {
            let text = &self.text;
            return Err(self.wrong(format!("`{text}` is not ADDRESS:PORT")));
        };
        wanted.address = Some(self.given(listen.ip()));
        wanted.port = Some(self.given(listen.port()));
        Ok(())
    }

    /// The value that is true or false.
    ///
    /// # Errors
    /// If it is neither.
    pub fn truth(&self) -> Result<Option<Given<bool>>, ConfigError> {
        match self.text.parse() {
            Ok(truth) => Ok(Some(self.given(truth))),
            Err(_) => Err(self.wrong(format!("`{}` is neither true nor false", self.text))),
        }
    }

    /// The value that is a path.
    ///
    /// # Errors
    /// If it is empty.
    pub fn path(&self) -> Result<Option<Given<PathBuf>>, ConfigError> {
        match self.text.is_empty() {
            true => Err(self.wrong("is empty, a path was expected")),
            false => Ok(Some(self.given(PathBuf::from(&self.text)))),
        }
    }

    /// The value that says whether clients show certificates.
    ///
    /// # Errors
    /// If it does not.
    pub fn client_certificates(&self) -> Result<Option<Given<ClientCertificates>>, ConfigError> {
        match self.text.parse() {
            Ok(certificates) => Ok(Some(self.given(certificates))),
            Err(()) => Err(self.wrong(format!("`{}` is none of need, want, none", self.text))),
        }
    }

    /// The value that is a text.
    ///
    /// # Errors
    /// If it is empty.
    pub fn text(&self) -> Result<Option<Given<String>>, ConfigError> {
        match self.text.is_empty() {
            true => Err(self.wrong("is empty")),
            false => Ok(Some(self.given(self.text.clone()))),
        }
    }

    /// The value that is a server's number.
    ///
    /// # Errors
    /// If it is none.
    pub fn server_id(&self) -> Result<Option<Given<ServerId>>, ConfigError> {
        let id = listed::id(&self.text).map_err(|what| self.wrong(what))?;
        Ok(Some(self.given(id)))
    }

    /// `value`, given here.
    pub fn given<T>(&self, value: T) -> Given<T> {
        Given {
            value,
            place: self.place.clone(),
        }
    }
}
