//! The mechanism DIGEST-MD5 of SASL (RFC 2831), as ZooKeeper's Java client and kazoo speak it: both
//! ends of it.
//!
//! The client sends nothing, the server a challenge, the client a proof that it knows the password,
//! the server a proof that it does, too. MD5 is what the clients speak; who can should use TLS.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use md5::{Digest as _, Md5};
use subtle::ConstantTimeEq as _;

use crate::config::{SASL_REALM as REALM, Users};

/// The name of the service: ZooKeeper's clients know no other.
const DIGEST_URI: &str = "zookeeper/zk-sasl-md5";

/// Directives in one token: RFC 2831 has a dozen.
const DIRECTIVES_MAX: usize = 32;

type Hash = [u8; 16];

/// What a token of the client has brought about at the server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// It is challenged.
    Challenge {
        /// What makes the challenge differ from all others.
        nonce: String,
        /// The challenge.
        text: String,
    },
    /// It has proven who it is.
    Done {
        /// Who.
        user: String,
        /// The server's own proof.
        proof: String,
    },
}

/// The client's answer to a challenge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// What it sends.
    pub token: String,
    /// What only a server can send back that knows the password.
    expected: String,
}

impl Answer {
    /// Has the server proven with this token that it knows the password?
    pub fn is_proven_by(&self, token: &[u8]) -> bool {
        let said = core::str::from_utf8(token).ok().and_then(directives);
        let proof = said.and_then(|mut said| said.remove("rspauth"));
        proof.is_some_and(|proof| proof == self.expected)
    }
}

/// What a user answers to a server's challenge; `None` if it is none of this mechanism and of
/// ZooKeeper's realm. `cnonce` makes the answer differ from all others: 128 random bits or more.
pub fn answer(challenge: &[u8], user: &str, password: &str, cnonce: &str) -> Option<Answer> {
    let said = directives(core::str::from_utf8(challenge).ok()?)?;
    let nonce = said.get("nonce")?;
    let is_ours = said.get("realm").is_some_and(|realm| realm == REALM)
        && said
            .get("algorithm")
            .is_some_and(|algorithm| algorithm == "md5-sess");
    if !is_ours {
        return None;
    }
    let secret = hash(&[user, ":", REALM, ":", password]);
    let session = session_hash(secret, nonce, cnonce, None);
    let response = proof(&session, nonce, cnonce, "AUTHENTICATE:");
    let expected = proof(&session, nonce, cnonce, ":");
    let [user, nonce] = [user, nonce].map(quoted);
    Some(Answer {
        expected,
        token: format!(
            "charset=utf-8,username={user},realm=\"{REALM}\",nonce={nonce},nc=00000001,\
             cnonce=\"{cnonce}\",digest-uri=\"{DIGEST_URI}\",response={response},qop=auth"
        ),
    })
}

/// A text within quotes, as [`directives`] reads it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// What a token brings about at the server, whose open challenge, if there is one, has this nonce;
/// the next one has `nonce`. `None` if the token is wrong, whatever is wrong with it.
pub fn step(
    users: &Users,
    challenged: Option<String>,
    nonce: String,
    token: &[u8],
) -> Option<Step> {
    if token.is_empty() {
        let text = format!("realm=\"{REALM}\",nonce=\"{nonce}\",charset=utf-8,algorithm=md5-sess");
        return Some(Step::Challenge { nonce, text });
    }
    let nonce = challenged?;
    let directives = directives(core::str::from_utf8(token).ok()?)?;
    let said = |name: &str| directives.get(name).map(String::as_str);
    let user = said("username")?;
    // Nobody acts for another.
    let authzid = said("authzid").filter(|authzid| !authzid.is_empty());
    let fits = said("realm").unwrap_or(REALM) == REALM
        && said("nonce") == Some(&nonce)
        && said("nc") == Some("00000001")
        && said("qop").unwrap_or("auth") == "auth"
        && said("digest-uri") == Some(DIGEST_URI)
        && authzid.is_none_or(|authzid| authzid == user);
    let (cnonce, response) = (said("cnonce")?, said("response")?);
    // Who asks for a user that is not there waits as long as for one who is.
    let secret = users.secret(user);
    let session = session_hash(secret.unwrap_or_default(), &nonce, cnonce, authzid);
    let expected = proof(&session, &nonce, cnonce, "AUTHENTICATE:");
    let proves: bool = expected.as_bytes().ct_eq(response.as_bytes()).into();
    if !fits || !proves || secret.is_none() {
        return None;
    }
    let own = proof(&session, &nonce, cnonce, ":");
    Some(Step::Done {
        user: user.to_string(),
        proof: format!("rspauth={own}"),
    })
}

/// H(A1) of RFC 2831, in hexadecimal digits.
fn session_hash(secret: Hash, nonce: &str, cnonce: &str, authzid: Option<&str>) -> String {
    let mut of = Md5::new();
    of.update(secret);
    for text in [":", nonce, ":", cnonce] {
        of.update(text);
    }
    if let Some(authzid) = authzid {
        of.update(":");
        of.update(authzid);
    }
    hex(&of.finalize().into())
}

fn proof(session: &str, nonce: &str, cnonce: &str, method: &str) -> String {
    let request = hex(&hash(&[method, DIGEST_URI]));
    let parts = [
        session,
        ":",
        nonce,
        ":00000001:",
        cnonce,
        ":auth:",
        &request,
    ];
    hex(&hash(&parts))
}

fn hash(parts: &[&str]) -> Hash {
    let mut of = Md5::new();
    parts.iter().for_each(|part| of.update(part));
    of.finalize().into()
}

fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `name=value,name="value"`: names once each, in small letters; within quotes a backslash stands
/// before what is meant as it is. `None` if it is nothing of the kind.
fn directives(text: &str) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut rest = text.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => {
                let end = after.find(',').unwrap_or(after.len());
                (after[..end].trim_end().to_owned(), &after[end..])
            }
        };
        let name = name.trim().to_ascii_lowercase();
        if found.len() == DIRECTIVES_MAX || found.insert(name, value).is_some() {
            return None;
        }
        let after = after.trim_start_matches([' ', '\t']);
        if !after.is_empty() && !after.starts_with(',') {
            return None;
        }
        rest = after.trim_start_matches([' ', '\t', ',']);
    }
    Some(found)
}

/// The value up to the closing quote, and what follows.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = Vec::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value.into_iter().collect(), &text[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NONCE: &str = "OA6MG9tEQGm2hh";

    fn users() -> Users {
        let mut users = Users::default();
        users.add("bob", "bobsecret");
        users.add("al\"ice", "x");
        users
    }

    fn challenged() -> Option<String> {
        Some(NONCE.to_owned())
    }

    /// An answer as Java's client writes it, with these changes.
    fn token(user: &str, password: &str, change: impl Fn(String) -> String) -> Vec<u8> {
        let secret = hash(&[user, ":", REALM, ":", password]);
        let session = session_hash(secret, NONCE, "cc", Some(user));
        let response = proof(&session, NONCE, "cc", "AUTHENTICATE:");
        let user = user.replace('"', "\\\"");
        let text = format!(
            "charset=utf-8,username=\"{user}\",realm=\"{REALM}\",nonce=\"{NONCE}\",nc=00000001,\
             cnonce=\"cc\",digest-uri=\"{DIGEST_URI}\",maxbuf=65536,response={response},qop=auth,\
             authzid=\"{user}\""
        );
        change(text).into_bytes()
    }

    /// The example of RFC 2831, section 4, but for its user's realm and service.
    #[test]
    fn the_hashes_of_the_rfc() {
        let secret = hash(&["chris", ":", "elwood.innosoft.com", ":", "secret"]);
        let session = session_hash(secret, "OA6MG9tEQGm2hh", "OA6MHXh6VqTrRk", None);
        let request = hex(&hash(&["AUTHENTICATE:", "imap/elwood.innosoft.com"]));
        let parts = [
            &*session,
            ":OA6MG9tEQGm2hh:00000001:OA6MHXh6VqTrRk:auth:",
            &*request,
        ];
        assert_eq!(hex(&hash(&parts)), "d388dad90d4bbd760a152321f2143af7");
    }

    #[test]
    fn who_knows_the_password_gets_in() {
        let users = users();
        for (user, password) in [("bob", "bobsecret"), ("al\"ice", "x")] {
            let token = token(user, password, |text| text);
            match step(&users, challenged(), String::new(), &token) {
                Some(Step::Done { user: who, proof }) => {
                    assert_eq!(who, user);
                    assert_eq!(proof.len(), "rspauth=".len() + 32);
                }
                other => panic!("{other:?}"),
            }
        }
        let begun = step(&users, None, "n".to_owned(), b"");
        let text = "realm=\"zk-sasl-md5\",nonce=\"n\",charset=utf-8,algorithm=md5-sess";
        let expected = Step::Challenge {
            nonce: "n".to_owned(),
            text: text.to_owned(),
        };
        assert_eq!(begun, Some(expected), "as ZooKeeper 3.9.3 writes it");
    }

    #[test]
    fn both_ends_understand_each_other() {
        let users = users();
        for (user, password) in [("bob", "bobsecret"), ("al\"ice", "x")] {
            let begun = step(&users, None, NONCE.to_owned(), b"");
            let Some(Step::Challenge { nonce, text }) = begun else {
                panic!("{begun:?}");
            };
            let own = answer(text.as_bytes(), user, password, "cn").expect("a challenge");
            let done = step(&users, Some(nonce), String::new(), own.token.as_bytes());
            let Some(Step::Done { user: who, proof }) = done else {
                panic!("{done:?}");
            };
            assert_eq!(who, user);
            assert!(own.is_proven_by(proof.as_bytes()));
            for lie in ["rspauth=", "rspauth=0123", "", "\u{1}", &proof[..39]] {
                assert!(!own.is_proven_by(lie.as_bytes()), "{lie}");
            }
            let stranger = answer(text.as_bytes(), user, "guessed", "cn").expect("a challenge");
            assert!(!stranger.is_proven_by(proof.as_bytes()));
        }
    }

    #[test]
    fn only_a_challenge_is_answered() {
        let good = "realm=\"zk-sasl-md5\",nonce=\"n\",charset=utf-8,algorithm=md5-sess";
        assert!(answer(good.as_bytes(), "bob", "x", "cn").is_some());
        for (from, to) in [
            ("zk-sasl-md5", "elsewhere"),
            ("nonce=\"n\",", ""),
            ("md5-sess", "sha-512"),
            ("realm", "realm=\"\",realm"),
        ] {
            let bad = good.replace(from, to);
            assert_eq!(answer(bad.as_bytes(), "bob", "x", "cn"), None, "{bad}");
        }
        assert_eq!(answer(&[0xff], "bob", "x", "cn"), None);
    }

    #[test]
    fn everything_else_is_wrong() {
        let users = users();
        let good = |text: String| text;
        for (why, token) in [
            ("the password", token("bob", "bobsecre", good)),
            ("the user", token("eve", "bobsecret", good)),
            ("nobody", token("", "", good)),
            (
                "for another",
                token("bob", "bobsecret", |text| {
                    text.replace("authzid=\"bob\"", "authzid=\"alice\"")
                }),
            ),
            (
                "an old challenge",
                token("bob", "bobsecret", |text| text.replace(NONCE, "old")),
            ),
            (
                "again",
                token("bob", "bobsecret", |text| {
                    text.replace("nc=00000001", "nc=00000002")
                }),
            ),
            (
                "another service",
                token("bob", "bobsecret", |text| text.replace("zookeeper/", "x/")),
            ),
            (
                "more than asked",
                token("bob", "bobsecret", |text| {
                    text.replace("=auth,", "=auth-int,")
                }),
            ),
            (
                "twice",
                token("bob", "bobsecret", |text| {
                    format!("{text},username=\"bob\"")
                }),
            ),
            ("no text", [0xff].to_vec()),
            ("no answer", b"garbage".to_vec()),
            ("open quotes", b"username=\"bob".to_vec()),
        ] {
            assert_eq!(
                step(&users, challenged(), String::new(), &token),
                None,
                "{why}"
            );
        }
        let unasked = token("bob", "bobsecret", good);
        assert_eq!(step(&users, None, String::new(), &unasked), None);
    }

    proptest! {
        #[test]
        fn noise_never_gets_in(noise in proptest::collection::vec(any::<u8>(), 1..200)) {
            prop_assert_eq!(step(&users(), challenged(), String::new(), &noise), None);
        }

        #[test]
        fn damage_never_gets_in(at in 0usize..200, to in any::<u8>()) {
            let good = token("bob", "bobsecret", |text| text);
            let mut damaged = good.clone();
            let at = at % damaged.len();
            damaged[at] = to;
            let done = step(&users(), challenged(), String::new(), &damaged);
            // What is not looked at may be anything: how text is written, how long messages are.
            if let Some(Step::Done { user, .. }) = done {
                prop_assert_eq!(user, "bob");
            }
        }
    }
}
