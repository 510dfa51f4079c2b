//! How a client takes on an identity: ZooKeeper's `addAuth`.

use alloc::format;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use crate::code::Code;
use crate::node::connection::Reads;
use crate::tree::acl::Identity;

/// What an `addAuth` did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Authenticated {
    /// The connection is somebody from here on, besides who it was.
    As(Identity),
    /// Nothing: it was that already.
    AsBefore,
    /// The connection reads in another way from here on. This is no identity.
    Reads(Reads),
}

/// What a client may authenticate as, by scheme.
///
/// - `althing`: no identity, but a property of this connection: `reads=linearizable` makes every
///   later read see what anybody was told before it was asked, `reads=local` ends that.
/// - `digest`: the credential is `user:password`, the identity is the user with a hash of both.
/// - `ip`: every connection has this identity from the beginning; asking for it changes nothing.
///
/// # Errors
/// `AuthFailed` for every other scheme and for a credential that is not text.
pub(super) fn authenticate(scheme: &str, credential: &[u8]) -> Result<Authenticated, Code> {
    match scheme {
        "digest" => {
            let text = core::str::from_utf8(credential).map_err(|_| Code::AuthFailed)?;
            let identity = Identity::new("digest", &digest_id(text));
            Ok(Authenticated::As(identity))
        }
        "ip" => Ok(Authenticated::AsBefore),
        "althing" => match credential {
            b"reads=linearizable" => Ok(Authenticated::Reads(Reads::Linearizable)),
            b"reads=local" => Ok(Authenticated::Reads(Reads::Local)),
            _ => Err(Code::AuthFailed),
        },
        _ => Err(Code::AuthFailed),
    }
}

/// The id that ZooKeeper's digest scheme makes of `user:password`: the user, a colon, and the
/// base64 of the SHA-1 of both. The scheme is what clients speak; it is no good place for a secret
/// that is used elsewhere.
pub fn digest_id(user_and_password: &str) -> alloc::string::String {
    let user = user_and_password.split(':').next().unwrap_or_default();
    let hash = STANDARD.encode(Sha1::digest(user_and_password.as_bytes()));
    format!("{user}:{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_zookeepers_documentation() {
        // From ZooKeeper's administrator's guide: superDigest of super:admin.
        assert_eq!(
            digest_id("super:admin"),
            "super:xQJmxLMiHGwaqBvst5y6rkB6HQs="
        );
    }

    #[test]
    fn unknown_schemes_fail() {
        assert_eq!(authenticate("kerberos", b"x"), Err(Code::AuthFailed));
        assert_eq!(authenticate("world", b"anyone"), Err(Code::AuthFailed));
        assert_eq!(authenticate("digest", &[0xff]), Err(Code::AuthFailed));
        assert_eq!(authenticate("ip", b""), Ok(Authenticated::AsBefore));
        assert_eq!(
            authenticate("althing", b"reads=never"),
            Err(Code::AuthFailed)
        );
    }
}
