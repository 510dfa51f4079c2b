//! The file with the users of SASL: ZooKeeper's own, in the notation of JAAS.
//!
//! ```text
//! Server {
//!     org.apache.zookeeper.server.auth.DigestLoginModule required
//!     user_bob="secret"
//!     user_alice="another";
//! };
//! ```
//!
//! Of the section `Server` the lines `user_NAME="PASSWORD"` are read; a file without sections is
//! read as if it were one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use althing_core::config::Users;

use crate::config::draft::ConfigError;

/// More is probably another file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What was read.
#[derive(Debug)]
pub struct SaslUsers {
    /// The users.
    pub users: Users,
    /// What to tell the operator.
    pub warning: Option<String>,
}

/// Reads the file.
///
/// # Errors
/// If it cannot be read, or names nobody, or somebody in a way that clients do not agree about.
pub fn read(path: &Path) -> Result<SaslUsers, ConfigError> {
    let file = path.display().to_string();
    let wrong = |what: String| ConfigError::File {
        file: file.clone(),
        what,
    };
    let known = fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
    if known.len() > FILE_BYTES_MAX {
        return Err(wrong(format!("has more than {FILE_BYTES_MAX} bytes")));
    }
    let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let users = parse(&text).map_err(|(line, what)| wrong(format!("line {line}: {what}")))?;
    if users.is_empty() {
        return Err(wrong("names no user, as user_NAME=\"PASSWORD\"".to_owned()));
    }
    let others_may = known.permissions().mode() & 0o077 != 0;
    let warning = format!("{file}: others than its owner may read or change the passwords of sasl");
    Ok(SaslUsers {
        users,
        warning: others_may.then_some(warning),
    })
}

fn parse(text: &str) -> Result<Users, (usize, String)> {
    let mut users = Users::default();
    let mut in_server = !text.contains('{');
    for (index, line) in text.lines().enumerate() {
        let wrong = |what: String| (index + 1, what);
        let mut line = line.trim();
        if line.starts_with("//") || line.starts_with('#') {
            continue;
        }
        if let Some((name, rest)) = line.split_once('{') {
            in_server = name.trim() == "Server";
            line = rest;
        }
        let ends = line.trim_end().ends_with("};") || line.trim() == "}";
        let mut rest = line;
        while let Some(at) = rest.find("user_").filter(|_| in_server) {
            let given = &rest[at + "user_".len()..];
            let form = || wrong("expected user_NAME=\"PASSWORD\"".to_owned());
            let (user, after) = given.split_once("=\"").ok_or_else(form)?;
            let (password, after) = after.split_once('"').ok_or_else(form)?;
            // How other characters are written before they are hashed, clients do not agree about.
            let plain = |text: &str| text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
            let is_user = !user.is_empty() && !user.contains([' ', ':', '"', '\\']);
            if !is_user || !plain(user) || !plain(password) || password.is_empty() {
                let what = format!(
                    "`{user}`: a user has no blanks, colons and quotes, and both \
                                    user and password are of printable ASCII"
                );
                return Err(wrong(what));
            }
            users.add(user, password);
            rest = after;
        }
        in_server &= !ends;
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(all: &[(&str, &str)]) -> Users {
        let mut users = Users::default();
        all.iter()
            .for_each(|(user, password)| users.add(user, password));
        users
    }

    #[test]
    fn a_file_of_zookeepers() {
        let text = "Server {\n  org.apache.zookeeper.server.auth.DigestLoginModule required\n  \
                    user_super=\"adminsecret\"\n  user_bob=\"bob;secret }\";\n};\n\
                    Client {\n  org.apache.zookeeper.server.auth.DigestLoginModule required\n  \
                    username=\"bob\"\n  password=\"bobsecret\"\n  user_eve=\"no\";\n};\n";
        let expected = users(&[("super", "adminsecret"), ("bob", "bob;secret }")]);
        assert_eq!(parse(text), Ok(expected));
        let one_line = "Server { X required user_a=\"1\" user_b=\"2\"; };";
        assert_eq!(parse(one_line), Ok(users(&[("a", "1"), ("b", "2")])));
        assert_eq!(parse("# mine\nuser_a=\"1\"\n"), Ok(users(&[("a", "1")])));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for text in [
            "\nuser_a=1",
            "\nuser_=\"1\"",
            "\nuser_a=\"\"",
            "\nuser_a=\"zażółć\"",
            "\nuser_a:b=\"x\"",
        ] {
            let (line, _) = parse(text).expect_err(text);
            assert_eq!(line, 2, "{text}");
        }
    }

    #[test]
    fn a_file_must_be_there_and_name_somebody() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("users");
        let told = read(&path).expect_err("not there").to_string();
        assert!(told.contains("users: "), "{told}");
        fs::write(&path, "Client { user_a=\"1\"; };").expect("written");
        let told = read(&path).expect_err("nobody").to_string();
        assert!(told.contains("names no user"), "{told}");
        fs::write(&path, "user_a=\"1\"").expect("written");
        for (mode, warns) in [(0o600, false), (0o644, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
            assert_eq!(read(&path).expect("users").warning.is_some(), warns);
        }
    }
}
