//! What a plan says of its servers' settings, by the names that their configuration files use.

use std::num::NonZeroU32;

use althing_core::config::{LocalSessions, Rate, Rates};
use serde::{Deserialize, Serialize};

use crate::span::Span;

/// Settings of the servers that differ from the defaults.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct ServerSettings {
    /// The tick.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tick_time: Option<Span>,
    /// Transactions between two snapshots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snap_count: Option<u32>,
    /// Bytes of one log segment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment_bytes: Option<u64>,
    /// How often the clients of one session may ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_requests_per_second: Option<NonZeroU32>,
    /// How often at once; a second's requests unless it is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_requests_burst: Option<NonZeroU32>,
    /// How often the clients at one address may ask, together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address_requests_per_second: Option<NonZeroU32>,
    /// How often at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address_requests_burst: Option<NonZeroU32>,
    /// How often who has proven one identity may ask, all together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_requests_per_second: Option<NonZeroU32>,
    /// How often at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_requests_burst: Option<NonZeroU32>,
    /// Do servers that have no leader serve clients which only read?
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only_mode: bool,
    /// Are new sessions the matter of one server alone, and what becomes of those that would own
    /// ephemeral znodes?
    #[serde(skip_serializing_if = "LocalSessionsSetting::is_off")]
    pub local_sessions: LocalSessionsSetting,
}

/// ZooKeeper's `localSessionsEnabled` and `localSessionsUpgradingEnabled`, in a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LocalSessionsSetting {
    /// All sessions are agreed.
    #[default]
    Off,
    /// New ones are one server's alone.
    On,
    /// The same, until the ensemble takes them over.
    Upgraded,
}

impl LocalSessionsSetting {
    fn is_off(&self) -> bool {
        *self == LocalSessionsSetting::Off
    }

    /// For the core.
    pub fn of_core(self) -> LocalSessions {
        match self {
            LocalSessionsSetting::Off => LocalSessions::Off,
            LocalSessionsSetting::On => LocalSessions::On,
            LocalSessionsSetting::Upgraded => LocalSessions::Upgraded,
        }
    }
}

/// The key of what a rate allows at once; how often, and how often at once.
type Pair = (&'static str, Option<NonZeroU32>, Option<NonZeroU32>);

impl ServerSettings {
    fn pairs(&self) -> [Pair; 3] {
        [
            (
                "sessionRequestsBurst",
                self.session_requests_per_second,
                self.session_requests_burst,
            ),
            (
                "addressRequestsBurst",
                self.address_requests_per_second,
                self.address_requests_burst,
            ),
            (
                "identityRequestsBurst",
                self.identity_requests_per_second,
                self.identity_requests_burst,
            ),
        ]
    }

    /// How often clients may ask.
    pub fn rates(&self) -> Rates {
        let rate = |(_, per_second, burst): Pair| {
            per_second.map(|per_second| Rate {
                per_second,
                burst: burst.unwrap_or(per_second),
            })
        };
        let [session, address, identity] = self.pairs().map(rate);
        Rates {
            session,
            address,
            identity,
        }
    }

    /// The key of a burst that has no rate, if there is one.
    pub fn burst_without_rate(&self) -> Option<&'static str> {
        let lonely = |(_, per_second, burst): &Pair| per_second.is_none() && burst.is_some();
        self.pairs().into_iter().find(lonely).map(|(key, ..)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_allows_a_second_at_once_unless_it_is_said() {
        let read = |text: &str| toml::from_str::<ServerSettings>(text);
        let settings = read(
            "sessionRequestsPerSecond = 7\naddressRequestsPerSecond = 3\n\
             addressRequestsBurst = 40\n",
        )
        .expect("good settings");
        let shown = |rate: Rate| (rate.per_second.get(), rate.burst.get());
        let rates = settings.rates();
        assert_eq!(rates.session.map(shown), Some((7, 7)));
        assert_eq!(rates.address.map(shown), Some((3, 40)));
        assert_eq!(rates.identity, None);
        assert_eq!(settings.burst_without_rate(), None);
        let lonely = read("identityRequestsBurst = 3\n").expect("it can be read");
        assert_eq!(lonely.burst_without_rate(), Some("identityRequestsBurst"));
        assert!(read("sessionRequestsPerSecond = 0\n").is_err());
    }
}
