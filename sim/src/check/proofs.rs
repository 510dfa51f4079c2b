//! Exchanges of SASL: T4. A challenge never comes twice, and the reference reckons every proof
//! itself: who gives it is let in, and told the server's; who does not is refused.

use std::collections::BTreeSet;

use althing_core::code::Code;
use althing_core::node::reply::Response;
use althing_core::node::request::Request;

use crate::check::findings::Findings;
use crate::check::wire::{Answer, Link, Wire};
use crate::reference::sasl::{By, PROOF, proof, said};
use crate::telling;

/// Checks all links.
pub fn check(wire: &Wire<'_>, findings: &mut Findings) {
    let mut nonces = BTreeSet::new();
    for link in &wire.links {
        let mut open = None;
        for asked in &link.asked {
            if let (Request::Sasl { token }, Some(answer)) = (asked.request, asked.answer) {
                let challenged = open.take();
                match token.is_empty() {
                    true => open = challenge(link, &answer, &mut nonces, findings),
                    false => proven(link, token, challenged.as_deref(), &answer, findings),
                }
            }
        }
    }
}

fn add(link: &Link<'_>, answer: &Answer<'_>, findings: &mut Findings, why: String) {
    findings.add(PROOF, answer.at, link.session(), || {
        let told = telling::answer(answer.result);
        format!("{} on link {}: {why} ({told})", link.client, link.id.0)
    });
}

/// The session may have ended, or moved elsewhere, meanwhile.
fn is_over(answer: &Answer<'_>) -> bool {
    matches!(
        answer.result,
        Err(Code::SessionExpired | Code::SessionMoved)
    )
}

/// What makes the challenge differ from all others.
fn challenge(
    link: &Link<'_>,
    answer: &Answer<'_>,
    nonces: &mut BTreeSet<String>,
    findings: &mut Findings,
) -> Option<String> {
    let nonce = match answer.result {
        Ok(Response::Sasl(Some(token))) => {
            said(token).get("nonce").map(|nonce| (*nonce).to_owned())
        }
        _ => None,
    };
    match &nonce {
        None if is_over(answer) => {}
        None => add(link, answer, findings, "it is not challenged".to_owned()),
        Some(nonce) if !nonces.insert(nonce.clone()) => {
            add(
                link,
                answer,
                findings,
                format!("the challenge {nonce} comes again"),
            );
        }
        Some(_) => {}
    }
    nonce
}

fn proven(
    link: &Link<'_>,
    token: &[u8],
    challenged: Option<&str>,
    answer: &Answer<'_>,
    findings: &mut Findings,
) {
    let parts = said(token);
    let part = |name: &str| parts.get(name).copied().unwrap_or_default();
    let (name, nonce, cnonce) = (part("username"), part("nonce"), part("cnonce"));
    let knows = challenged == Some(nonce)
        && proof(name, nonce, cnonce, By::Client).as_deref() == Some(part("response"));
    match (knows, answer.result) {
        _ if is_over(answer) => {}
        (true, Ok(Response::Sasl(Some(own)))) => {
            let expected = proof(name, nonce, cnonce, By::Server);
            if said(own).get("rspauth").copied() != expected.as_deref() {
                let why = format!("the server lets {name} in and proves nothing");
                add(link, answer, findings, why);
            }
        }
        (true, _) => add(link, answer, findings, format!("{name} is not let in")),
        (false, Err(Code::AuthFailed)) => {}
        (false, _) => add(
            link,
            answer,
            findings,
            format!("a stranger is let in as {name}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Arc;
    use std::time::Duration;

    use althing_core::ids::{ServerId, Xid, Zxid};
    use althing_core::node::reply::Reply;
    use althing_core::tree::data::Data;

    use super::*;
    use crate::check::wire;
    use crate::history::{History, LinkId, Moment, Received, Sent, What};
    use crate::reference::sasl;

    /// An exchange: what is asked and what is answered, in turns.
    type Exchange = Vec<(String, Result<Option<String>, Code>)>;

    type Damage = fn(&mut Exchange);

    fn good(nonce: &str) -> Exchange {
        let (name, _) = sasl::user(1);
        let own = |by| proof(&name, nonce, "cn", by).expect("a user");
        let challenge = format!("realm=\"zk-sasl-md5\",nonce=\"{nonce}\",algorithm=md5-sess");
        let answer = format!(
            "username=\"{name}\",nonce=\"{nonce}\",cnonce=\"cn\",response={}",
            own(By::Client)
        );
        let done = format!("rspauth={}", own(By::Server));
        vec![
            (String::new(), Ok(Some(challenge))),
            (answer, Ok(Some(done))),
        ]
    }

    /// What is found in a run of these exchanges, each on a link of its own.
    fn found(exchanges: &[Exchange]) -> Vec<&'static str> {
        let client: Arc<str> = Arc::from("client-1");
        let mut history = History::default();
        let mut moments = Vec::new();
        for (exchange, number) in exchanges.iter().zip(1..) {
            let link = LinkId(number);
            moments.push(What::LinkOpened {
                client: client.clone(),
                link,
                server: ServerId(1),
                address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            });
            for ((token, said), xid) in exchange.iter().zip(1..) {
                let request = Arc::new(Request::Sasl {
                    token: Data::from(token.as_str()),
                });
                let said = said.clone();
                moments.push(What::Sent {
                    client: client.clone(),
                    link,
                    frame: Sent::Request {
                        xid: Xid(xid),
                        request: request.clone(),
                    },
                });
                moments.push(What::Received {
                    client: client.clone(),
                    link,
                    frame: Received::Reply {
                        reply: Reply::Answer {
                            xid: Xid(xid),
                            zxid: Zxid::ZERO,
                            result: said.map(|text| {
                                Response::Sasl(text.map(|text| Data::from(text.as_str())))
                            }),
                        },
                        request: Some(request),
                    },
                });
            }
        }
        let at = Duration::ZERO;
        history.moments = moments
            .into_iter()
            .map(|what| Moment { at, what })
            .collect();
        let mut findings = Findings::default();
        let joined = wire::join(&history, &mut findings);
        check(&joined, &mut findings);
        let found = findings.sorted().into_iter();
        found.map(|found| found.invariant).collect()
    }

    #[test]
    fn a_good_exchange_is_good() {
        assert_eq!(found(&[good("a"), good("b")]), [""; 0]);
        let mut stranger = good("c");
        stranger[1].0 = stranger[1].0.replace("cnonce=\"cn\"", "cnonce=\"cm\"");
        stranger[1].1 = Err(Code::AuthFailed);
        assert_eq!(found(&[stranger]), [""; 0]);
        let mut late = good("d");
        late[0].1 = Err(Code::SessionExpired);
        late.truncate(1);
        assert_eq!(found(&[late]), [""; 0]);
    }

    #[test]
    fn every_damage_is_seen() {
        let kinds: [(&str, Damage); 7] = [
            ("no challenge", |all| all[0].1 = Ok(None)),
            ("a challenge without its nonce", |all| {
                all[0].1 = Ok(Some("realm=\"zk-sasl-md5\"".to_owned()));
                all.truncate(1);
            }),
            ("who knows is refused", |all| {
                all[1].1 = Err(Code::AuthFailed);
            }),
            ("who knows is not heard", |all| all[1].1 = Ok(None)),
            ("who does not know is let in", |all| {
                all[1].0 = all[1].0.replace("cn\"", "cm\"");
            }),
            ("an old challenge will do", |all| {
                all[1].0 = all[1].0.replace("nonce=\"a\"", "nonce=\"b\"");
            }),
            ("the server proves nothing", |all| {
                all[1].1 = Ok(Some("rspauth=0".to_owned()));
            }),
        ];
        for (what, damage) in kinds {
            let mut exchange = good("a");
            damage(&mut exchange);
            let found = found(&[exchange]);
            assert!(found.contains(&PROOF), "{what}: {found:?}");
        }
        let again = found(&[good("a"), good("a")]);
        assert_eq!(again, [PROOF], "the challenge comes again");
    }
}
