//! Who must authenticate, and by what (ZooKeeper's `enforce.auth`), and what becomes of who fails.

use std::collections::BTreeSet;

use althing_core::config::{Config, FailedSasl};

use crate::config::draft::{ConfigError, Draft, Given};

/// The schemes by which a client can authenticate.
const SCHEMES: [&str; 3] = ["digest", "sasl", "x509"];

/// Sets what was given.
///
/// # Errors
/// If a scheme is wanted that nobody can authenticate by, or authentication by none.
pub fn settle(draft: &Draft, config: &mut Config) -> Result<(), ConfigError> {
    if is_true(&draft.allow_failed_sasl) {
        config.sasl.failed = FailedSasl::Kept;
    }
    let requires_sasl = draft.require_sasl.as_ref().filter(|given| given.value);
    let enforced = match (&draft.enforce_auth, requires_sasl) {
        (_, Some(_)) => true,
        (Some(given), None) => given.value,
        (None, None) => false,
    };
    if !enforced {
        return Ok(());
    }
    let mut schemes: BTreeSet<String> = BTreeSet::new();
    let mut add = |scheme: &str, given: &dyn Fn(String) -> ConfigError| {
        if !SCHEMES.contains(&scheme) {
            let known = SCHEMES.join(", ");
            return Err(given(format!("`{scheme}` is none of {known}")));
        }
        let lacks_users = scheme == "sasl" && draft.sasl_users_file.is_none();
        if lacks_users {
            return Err(given("there is no file with the users of sasl".to_owned()));
        }
        let lacks_authority = scheme == "x509" && draft.client_tls_authority.is_none();
        if lacks_authority {
            return Err(given("the clients' authority is missing".to_owned()));
        }
        schemes.insert(scheme.to_owned());
        Ok(())
    };
    if let Some(given) = &draft.enforce_auth_schemes {
        for scheme in given.value.split(',') {
            add(scheme.trim(), &|what| given.wrong(what))?;
        }
    }
    if let Some(given) = requires_sasl {
        add("sasl", &|what| given.wrong(what))?;
    }
    match &draft.enforce_auth {
        Some(given) if schemes.is_empty() => {
            return Err(given.wrong("no scheme is given to authenticate by"));
        }
        _ => {}
    }
    config.enforced_schemes = schemes;
    Ok(())
}

fn is_true(given: &Option<Given<bool>>) -> bool {
    given.as_ref().is_some_and(|given| given.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settled::{config_of_toml as of_toml, config_of_zoo_cfg as of_zoo_cfg};

    #[test]
    fn schemes_are_enforced_if_it_is_asked_for() {
        let users = "althing.saslUsersFile=jaas.conf\n\
                     authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider\n";
        for (config, expected) in [
            (of_toml(""), &[][..]),
            (of_toml("enforce_auth_schemes = \"digest\""), &["digest"]),
            (
                of_toml("enforce_auth_schemes = \"digest, sasl\"\nsasl_users_file = \"u\""),
                &["digest", "sasl"],
            ),
            (of_zoo_cfg("enforce.auth.schemes=digest"), &[]),
            (
                of_zoo_cfg("enforce.auth.enabled=true\nenforce.auth.schemes=digest"),
                &["digest"],
            ),
            (
                of_zoo_cfg(&format!("{users}sessionRequireClientSASLAuth=true")),
                &["sasl"],
            ),
            (
                of_zoo_cfg(&format!(
                    "{users}sessionRequireClientSASLAuth=true\nenforce.auth.schemes=digest"
                )),
                &["digest", "sasl"],
            ),
        ] {
            let found = config.expect("a good file").enforced_schemes;
            assert_eq!(Vec::from_iter(found.iter().map(String::as_str)), expected);
        }
    }

    #[test]
    fn who_fails_may_be_kept_and_one_may_do_everything() {
        let kept = of_zoo_cfg("allowSaslFailedClients=true\nsuperUser=bob").expect("a good file");
        assert_eq!(kept.sasl.failed, FailedSasl::Kept);
        assert_eq!(kept.supers.sasl.as_deref(), Some("bob"));
        assert_eq!(
            of_toml("").expect("defaults").sasl.failed,
            FailedSasl::Closed
        );
    }

    #[test]
    fn complaints_name_line_and_key() {
        for (told, complaint) in [
            (
                of_zoo_cfg("enforce.auth.enabled=true"),
                "zoo.cfg:1: enforce.auth.enabled: no scheme is given to authenticate by",
            ),
            (
                of_zoo_cfg("enforce.auth.enabled=true\nenforce.auth.schemes=kerberos"),
                "zoo.cfg:2: enforce.auth.schemes: `kerberos` is none of digest, sasl, x509",
            ),
            (
                of_zoo_cfg("sessionRequireClientSASLAuth=true"),
                "zoo.cfg:1: sessionRequireClientSASLAuth: there is no file with the users of sasl",
            ),
            (
                of_toml("enforce_auth_schemes = \"x509\""),
                "t.toml:1:1: enforce_auth_schemes: the clients' authority is missing",
            ),
            (
                of_toml("allow_failed_sasl = 1"),
                "t.toml:1:1: allow_failed_sasl: `1` is neither true nor false",
            ),
        ] {
            let told = told.expect_err(complaint);
            assert!(told.starts_with(complaint), "{told}");
        }
    }
}
