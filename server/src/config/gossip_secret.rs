//! The file with the secret that the servers of an ensemble share for their gossip.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use althing_core::gossip::key::Key;

use crate::config::draft::ConfigError;
use crate::entropy::entropy;

/// Less could be guessed: `head -c 32 /dev/urandom | base64` gives more.
pub const SECRET_BYTES_MIN: usize = 16;

/// More is no better, and probably another file.
pub const SECRET_BYTES_MAX: usize = 4096;

/// What was read.
#[derive(Clone, Debug)]
pub struct Secret {
    /// The key that it gives.
    pub key: Key,
    /// What to tell the operator.
    pub warning: Option<String>,
}

/// Reads the secret: the whole file, without white space at its ends.
///
/// # Errors
/// If it cannot be read, or is too short or too long.
pub fn read(path: &Path) -> Result<Secret, ConfigError> {
    let file = path.display().to_string();
    let wrong = |what: String| ConfigError::File {
        file: file.clone(),
        what,
    };
    let opened = File::open(path).map_err(|error| wrong(error.to_string()))?;
    let mut bytes = Vec::new();
    let most = u64::try_from(SECRET_BYTES_MAX + 1).expect("a small number");
    let read = opened.take(most).read_to_end(&mut bytes);
    read.map_err(|error| wrong(error.to_string()))?;
    let secret = bytes.trim_ascii();
    if secret.len() < SECRET_BYTES_MIN || bytes.len() > SECRET_BYTES_MAX {
        return Err(wrong(format!(
            "a secret has {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes"
        )));
    }
    let mode = fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
    let others_may = mode.permissions().mode() & 0o077 != 0;
    let warning = format!("{file}: others than its owner may read or change the gossip secret");
    Ok(Secret {
        key: Key::from_secret(secret),
        warning: others_may.then_some(warning),
    })
}

/// Makes the file with a secret that nobody knows, for its owner's eyes; one that is there stays.
///
/// # Errors
/// What the operating system says.
pub fn ensure(path: &Path) -> io::Result<()> {
    let made = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let mut file = match made {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    };
    let digits = entropy().map(|byte| format!("{byte:02x}"));
    writeln!(file, "{}", digits.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(secret: &str, mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        fs::write(&path, secret).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("permitted");
        (folder, path)
    }

    #[test]
    fn a_secret_is_read_and_a_public_one_warned_of() {
        let (_folder, path) = written("0123456789abcdef\n", 0o600);
        assert_eq!(read(&path).expect("a secret").warning, None);
        let (_folder, path) = written("0123456789abcdef\n", 0o644);
        let warning = read(&path).expect("a secret").warning;
        assert!(warning.is_some_and(|warning| warning.contains("others than its owner")));
    }

    #[test]
    fn a_secret_is_made_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        ensure(&path).expect("made");
        assert_eq!(read(&path).expect("a secret").warning, None);
        let made = fs::read(&path).expect("a file");
        assert_eq!(made.len(), 65);
        ensure(&path).expect("kept");
        assert_eq!(fs::read(&path).expect("a file"), made);
    }

    #[test]
    fn what_is_too_short_or_too_long_or_not_there_is_refused() {
        for secret in ["   0123456789abcde  \n".to_owned(), "x".repeat(4097)] {
            let (_folder, path) = written(&secret, 0o600);
            let told = read(&path).expect_err("a bad secret").to_string();
            assert!(told.ends_with("a secret has 16 to 4096 bytes"), "{told}");
        }
        assert!(read(Path::new("/nowhere/secret")).is_err());
    }
}
