//! The keys of our own configuration file, and what the value of each has to be.

use std::net::SocketAddr;

use crate::config::draft::{ConfigError, Draft, Entry, Given, LogFormat};
use crate::config::settings::range;
use crate::words::Whitelist;

/// All keys.
pub const KEYS: [&str; 58] = [
    "listen",
    "data_dir",
    "tick_ms",
    "session_timeout_min_ms",
    "session_timeout_max_ms",
    "snapshot_every",
    "snapshots_kept",
    "log_segment_bytes",
    "data_bytes_max",
    "reply_bytes_max",
    "session_requests_per_second",
    "session_requests_burst",
    "address_requests_per_second",
    "address_requests_burst",
    "identity_requests_per_second",
    "identity_requests_burst",
    "max_connections",
    "max_connections_per_address",
    "id",
    "servers",
    "groups",
    "weights",
    "peer_listen_address",
    "peer_tls_certificate",
    "peer_tls_key",
    "peer_tls_authority",
    "secure_listen",
    "port_unification",
    "client_tls_certificate",
    "client_tls_key",
    "client_tls_authority",
    "client_certificates",
    "super_digest",
    "super_subject",
    "super_sasl",
    "sasl_users_file",
    "allow_failed_sasl",
    "enforce_auth_schemes",
    "gossip_secret_file",
    "election_timeout_ms",
    "beat_ms",
    "isolation_timeout_ms",
    "read_only_mode",
    "local_sessions",
    "local_session_upgrades",
    "reap_interval_ms",
    "reconfig",
    "enforce_quotas",
    "admin_listen",
    "admin_snapshot",
    "admin_snapshot_pause_ms",
    "admin_restore",
    "metrics_listen",
    "four_letter_words",
    "audit_file",
    "audit_files_kept",
    "log_format",
    "log_level",
];

/// Puts a value where its key says.
///
/// # Errors
/// If there is no such key, or the value is not what it stands for.
pub fn set(draft: &mut Draft, entry: &Entry) -> Result<(), ConfigError> {
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
        "reply_bytes_max" => draft.reply_bytes_max = entry.number(range::REPLY_BYTES_MAX)?,
        "max_connections" => draft.max_connections = entry.number(range::CONNECTIONS)?,
        "max_connections_per_address" => {
            draft.max_connections_per_address = entry.number(range::CONNECTIONS)?;
        }
        "secure_listen" => entry.endpoint(&mut draft.secure)?,
        "port_unification" => draft.port_unification = entry.truth()?,
        "client_tls_certificate" => draft.client_tls_certificate = entry.path()?,
        "client_tls_key" => draft.client_tls_key = entry.path()?,
        "client_tls_authority" => draft.client_tls_authority = entry.path()?,
        "client_certificates" => draft.client_certificates = entry.client_certificates()?,
        "read_only_mode" => draft.read_only_mode = entry.truth()?,
        "local_sessions" => draft.local_sessions = entry.truth()?,
        "local_session_upgrades" => draft.local_session_upgrades = entry.truth()?,
        "reap_interval_ms" => draft.reap_interval_ms = entry.number(range::REAP_MS)?,
        "enforce_quotas" => draft.enforce_quotas = entry.truth()?,
        "admin_listen" => entry.endpoint(&mut draft.admin)?,
        "admin_snapshot" => draft.admin_snapshot = entry.truth()?,
        "admin_restore" => draft.admin_restore = entry.truth()?,
        "admin_snapshot_pause_ms" => {
            draft.admin_snapshot_pause_ms = entry.number(range::SNAPSHOT_PAUSE_MS)?;
        }
        "metrics_listen" => entry.endpoint(&mut draft.metrics)?,
        "four_letter_words" => draft.four_letter_words = Some(four_letter_words(entry)?),
        "log_format" => draft.log_format = Some(log_format(entry)?),
        "log_level" => draft.log_level = Some(entry.given(entry.text.clone())),
        "audit_file" => draft.audit_file = entry.path()?,
        "audit_files_kept" => draft.audit_files_kept = entry.number(range::AUDIT_FILES_KEPT)?,
        _ => return ensemble(draft, entry),
    }
    Ok(())
}

/// Who the servers are, how they reach each other, and how long they wait for each other.
fn ensemble(draft: &mut Draft, entry: &Entry) -> Result<(), ConfigError> {
    match entry.place.key.as_str() {
        "id" => draft.id = entry.server_id()?,
        "servers" => {
            return Err(
                entry.wrong("is a table: [servers], then a line for each, as 1 = \"a:2888\"")
            );
        }
        "groups" => {
            return Err(entry.wrong("is a table: [groups], then a line for each, as 1 = [1, 2]"));
        }
        "weights" => {
            return Err(entry.wrong("is a table: [weights], then a line for each, as 1 = 2"));
        }
        "peer_listen_address" => draft.peer_listen_address = entry.address()?,
        "peer_tls_certificate" => draft.peer_tls_certificate = entry.path()?,
        "peer_tls_key" => draft.peer_tls_key = entry.path()?,
        "peer_tls_authority" => draft.peer_tls_authority = entry.path()?,
        "gossip_secret_file" => draft.gossip_secret_file = entry.path()?,
        "election_timeout_ms" => {
            draft.election_timeout_ms = entry.number(range::ELECTION_TIMEOUT_MS)?;
        }
        "beat_ms" => draft.beat_ms = entry.number(range::BEAT_MS)?,
        "isolation_timeout_ms" => {
            draft.isolation_timeout_ms = entry.number(range::ISOLATION_TIMEOUT_MS)?;
        }
        "reconfig" => draft.reconfig = entry.truth()?,
        _ => return authentication(draft, entry),
    }
    Ok(())
}

/// Who clients are, who must say so, and who may do everything.
fn authentication(draft: &mut Draft, entry: &Entry) -> Result<(), ConfigError> {
    match entry.place.key.as_str() {
        "super_digest" => draft.super_digest = entry.text()?,
        "super_subject" => draft.super_subject = entry.text()?,
        "super_sasl" => draft.super_sasl = entry.text()?,
        "sasl_users_file" => draft.sasl_users_file = entry.path()?,
        "allow_failed_sasl" => draft.allow_failed_sasl = entry.truth()?,
        "enforce_auth_schemes" => {
            draft.enforce_auth = Some(entry.given(true));
            draft.enforce_auth_schemes = entry.text()?;
        }
        _ => return rate(draft, entry),
    }
    Ok(())
}

/// How often clients may ask.
fn rate(draft: &mut Draft, entry: &Entry) -> Result<(), ConfigError> {
    let number = || entry.number(range::REQUESTS);
    match entry.place.key.as_str() {
        "session_requests_per_second" => draft.session_rate.per_second = number()?,
        "session_requests_burst" => draft.session_rate.burst = number()?,
        "address_requests_per_second" => draft.address_rate.per_second = number()?,
        "address_requests_burst" => draft.address_rate.burst = number()?,
        "identity_requests_per_second" => draft.identity_rate.per_second = number()?,
        "identity_requests_burst" => draft.identity_rate.burst = number()?,
        _ => {
            let known = KEYS.join(", ");
            return Err(entry.wrong(format!("is not a key; the keys are {known}")));
        }
    }
    Ok(())
}

/// One of two words.
fn log_format(entry: &Entry) -> Result<Given<LogFormat>, ConfigError> {
    match entry.text.as_str() {
        "text" => Ok(entry.given(LogFormat::Text)),
        "json" => Ok(entry.given(LogFormat::Json)),
        other => Err(entry.wrong(format!("`{other}` is neither text nor json"))),
    }
}

/// A list of words, each of which must be one.
fn four_letter_words(entry: &Entry) -> Result<Given<Whitelist>, ConfigError> {
    let (words, strange) = Whitelist::parse(&entry.text);
    match strange.first() {
        None => Ok(entry.given(words)),
        Some(word) => Err(entry.wrong(format!("`{word}` is no word that is answered"))),
    }
}
