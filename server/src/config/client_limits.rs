//! What a client may ask for, and be answered: the limits that the node itself keeps to.

use std::num::NonZeroU32;

use althing_core::config::{Config, REPLY_BYTES_MAX_DEFAULT, Rate, Rates};
use althing_core::node::size::DATA_OVERHEAD_BYTES;

use crate::config::draft::{ConfigError, Draft, Given, WantedRate};

/// Sets what was given. Data that nobody could read back cannot be asked for.
///
/// # Errors
/// If the largest data does not fit the largest reply.
pub fn settle(draft: &Draft, config: &mut Config) -> Result<(), ConfigError> {
    if let Some(given) = &draft.data_bytes_max {
        config.settings.data_bytes_max = given.value;
    }
    let needed = config.settings.data_bytes_max as usize + DATA_OVERHEAD_BYTES;
    config.reply_bytes_max = match &draft.reply_bytes_max {
        Some(given) if given.value < needed => {
            return Err(given.wrong(format!(
                "the largest data takes {needed} bytes to answer, and could not be read back"
            )));
        }
        Some(given) => given.value,
        None => REPLY_BYTES_MAX_DEFAULT.max(needed),
    };
    config.rates = Rates {
        session: rate(&draft.session_rate)?,
        address: rate(&draft.address_rate)?,
        identity: rate(&draft.identity_rate)?,
    };
    Ok(())
}

/// How often something may be asked for; a burst is of a rate.
fn rate(wanted: &WantedRate) -> Result<Option<Rate>, ConfigError> {
    let number = |given: &Given<u32>| {
        let number = NonZeroU32::new(given.value);
        number.ok_or_else(|| given.wrong("is none"))
    };
    match (&wanted.per_second, &wanted.burst) {
        (None, None) => Ok(None),
        (None, Some(burst)) => Err(burst.wrong("how often, for each second, is missing")),
        (Some(per_second), burst) => {
            let per_second = number(per_second)?;
            let burst = burst.as_ref().map_or(Ok(per_second), number)?;
            Ok(Some(Rate { per_second, burst }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settled::{config_of_toml as of_toml, config_of_zoo_cfg as of_zoo_cfg};
    use althing_core::config::DATA_BYTES_MAX_DEFAULT;

    #[test]
    fn whatever_can_be_written_can_be_read() {
        let zoo_cfg = "althing.dataBytesMax=2000000\nalthing.replyBytesMax=3000000";
        for (config, data, reply) in [
            (of_toml(""), DATA_BYTES_MAX_DEFAULT, 0xfffff),
            (of_toml("data_bytes_max = 2000"), 2000, 0xfffff),
            (of_toml("data_bytes_max = 2000000"), 2_000_000, 2_000_088),
            (
                of_toml("reply_bytes_max = 5000000"),
                DATA_BYTES_MAX_DEFAULT,
                5_000_000,
            ),
            (of_zoo_cfg(zoo_cfg), 2_000_000, 3_000_000),
        ] {
            let config = config.expect("a good file");
            assert_eq!(config.settings.data_bytes_max, data);
            assert_eq!(config.reply_bytes_max, reply);
        }
        let needed = DATA_BYTES_MAX_DEFAULT as usize + DATA_OVERHEAD_BYTES;
        assert_eq!(needed, REPLY_BYTES_MAX_DEFAULT);
    }

    #[test]
    fn a_rate_without_a_burst_lets_those_of_a_second_come_at_once() {
        let shown = |rate: Option<Rate>| rate.map(|rate| (rate.per_second.get(), rate.burst.get()));
        assert_eq!(of_toml("").expect("defaults").rates, Rates::default());
        for rates in [
            of_toml(
                "session_requests_per_second = 10\naddress_requests_per_second = 5\n\
                     address_requests_burst = 50",
            ),
            of_zoo_cfg(
                "althing.sessionRequestsPerSecond=10\nalthing.addressRequestsPerSecond=5\n\
                        althing.addressRequestsBurst=50",
            ),
        ] {
            let rates = rates.expect("a good file").rates;
            assert_eq!(shown(rates.session), Some((10, 10)));
            assert_eq!(shown(rates.address), Some((5, 50)));
            assert_eq!(rates.identity, None);
        }
    }

    #[test]
    fn complaints_name_line_and_key() {
        for (told, complaint) in [
            (
                of_toml("identity_requests_burst = 5"),
                "t.toml:1:1: identity_requests_burst: how often, for each second, is missing",
            ),
            (
                of_zoo_cfg("althing.sessionRequestsPerSecond=0"),
                "zoo.cfg:1: althing.sessionRequestsPerSecond: `0` is not a whole number from 1",
            ),
            (
                of_toml("\ndata_bytes_max = 5000\nreply_bytes_max = 5087"),
                "t.toml:3:1: reply_bytes_max: the largest data takes 5088 bytes to answer",
            ),
            (
                of_toml("reply_bytes_max = 1"),
                "t.toml:1:1: reply_bytes_max: `1` is not a whole number from 2048 to",
            ),
            (
                of_zoo_cfg("althing.replyBytesMax=2048"),
                "zoo.cfg:1: althing.replyBytesMax: the largest data takes 1048575 bytes",
            ),
            (
                of_zoo_cfg("althing.dataBytesMax=1"),
                "zoo.cfg:1: althing.dataBytesMax: `1` is not a whole number from 1024",
            ),
        ] {
            let told = told.expect_err(complaint);
            assert!(told.starts_with(complaint), "{told}");
        }
    }
}
