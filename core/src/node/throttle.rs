//! How often clients may ask: buckets of tokens by session, by address and by identity.
//!
//! A bucket is kept as the hour at which it will be full: each request moves it by the time in
//! which one token comes. A bucket that is full is none, so those who rest cost nothing. What keeps
//! a session alive, or sets its watches again, takes no token, and neither does the super user.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::config::{Rate, Rates};
use crate::ids::SessionId;
use crate::node::event::Reached;
use crate::node::request::Request;
use crate::time::{Duration, Instant};
use crate::tree::acl::{Identity, SUPER};

/// Buckets that are kept at a time, of those that are not full: several for each connection of a
/// large server. If there were more, the one that would be full first is forgotten: nobody is ever
/// refused for want of room.
const BUCKETS_MAX: usize = 100_000;

/// Buckets that have become full and are forgotten with each request: more than one can add, so
/// that all go in time.
const FORGOTTEN_AT_ONCE_MAX: usize = 8;

/// Whose a bucket is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Owner {
    Session(SessionId),
    Address(IpAddr),
    Identity(Identity),
}

impl Owner {
    fn limit(&self) -> Reached {
        match self {
            Owner::Session(_) => Reached::SessionRate,
            Owner::Address(_) => Reached::AddressRate,
            Owner::Identity(_) => Reached::IdentityRate,
        }
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// For which session.
    pub session: SessionId,
    /// From where.
    pub address: IpAddr,
    /// As whom.
    pub identities: &'a [Identity],
}

/// The buckets of one server's clients.
#[derive(Clone, Debug, Default)]
pub struct Throttle {
    rates: Rates,
    full_at: BTreeMap<Owner, Instant>,
    by_hour: BTreeSet<(Instant, Owner)>,
}

/// Does it take a token? What a client cannot go on without does not.
pub fn is_free(request: &Request) -> bool {
    matches!(
        request,
        Request::Ping
            | Request::CloseSession
            | Request::Auth { .. }
            | Request::Sasl { .. }
            | Request::SetWatches(_)
    )
}

impl Throttle {
    /// Full buckets for everybody.
    pub fn new(rates: Rates) -> Throttle {
        Throttle {
            rates,
            ..Throttle::default()
        }
    }

    /// Takes a token out of each bucket of who asks; out of none if one of them is empty.
    ///
    /// # Errors
    /// The limit of the empty one.
    pub fn ask(&mut self, now: Instant, asker: Asker<'_>) -> Result<(), Reached> {
        if self.rates == Rates::default() || asker.identities.iter().any(is_super) {
            return Ok(());
        }
        self.forget(now);
        let mut filled = Vec::new();
        for (owner, rate) in self.buckets(asker) {
            let token = Duration::from_secs(1) / rate.per_second.get();
            let known = self.full_at.get(&owner).copied();
            let full_at = known.map_or(now, |at| at.max(now)).after(token);
            if full_at.since(now) > token * rate.burst.get() {
                return Err(owner.limit());
            }
            filled.push((owner, full_at));
        }
        for (owner, full_at) in filled {
            self.fill(owner, full_at);
        }
        Ok(())
    }

    fn buckets(&self, asker: Asker<'_>) -> Vec<(Owner, Rate)> {
        let Rates {
            session,
            address,
            identity,
        } = self.rates;
        let of_session = session.map(|rate| (Owner::Session(asker.session), rate));
        let of_address = address.map(|rate| (Owner::Address(asker.address), rate));
        let mut all: Vec<(Owner, Rate)> = of_session.into_iter().chain(of_address).collect();
        if let Some(rate) = identity {
            // Everybody has an address, which has a limit of its own.
            let proven = asker.identities.iter().filter(|who| &*who.scheme != "ip");
            all.extend(proven.map(|who| (Owner::Identity(who.clone()), rate)));
        }
        all
    }

    fn fill(&mut self, owner: Owner, full_at: Instant) {
        if let Some(before) = self.full_at.insert(owner.clone(), full_at) {
            self.by_hour.remove(&(before, owner.clone()));
        }
        self.by_hour.insert((full_at, owner));
        if self.full_at.len() > BUCKETS_MAX {
            self.forget_first();
        }
    }

    /// Forgets buckets that are full by now.
    fn forget(&mut self, now: Instant) {
        for _ in 0..FORGOTTEN_AT_ONCE_MAX {
            match self.by_hour.first() {
                Some((at, _)) if *at <= now => self.forget_first(),
                _ => return,
            }
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, owner)) = self.by_hour.pop_first() {
            self.full_at.remove(&owner);
        }
    }
}

fn is_super(who: &Identity) -> bool {
    &*who.scheme == SUPER
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::num::NonZeroU32;
    use proptest::collection::vec as many;
    use proptest::prelude::*;

    fn rate(per_second: u32, burst: u32) -> Option<Rate> {
        let number = |number| NonZeroU32::new(number).expect("not zero");
        Some(Rate {
            per_second: number(per_second),
            burst: number(burst),
        })
    }

    fn asker(number: u8) -> Asker<'static> {
        Asker {
            session: SessionId(number.into()),
            address: IpAddr::from([10, 0, 0, number]),
            identities: &[],
        }
    }

    fn at(ms: u64) -> Instant {
        Instant(ms * 1_000_000)
    }

    /// Asks so many times at once; returns how many were let through.
    fn asked(throttle: &mut Throttle, now: Instant, asker: Asker<'_>, times: usize) -> usize {
        (0..times)
            .filter(|_| throttle.ask(now, asker).is_ok())
            .count()
    }

    fn of_sessions(per_second: u32, burst: u32) -> Throttle {
        Throttle::new(Rates {
            session: rate(per_second, burst),
            ..Rates::default()
        })
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut throttle = of_sessions(10, 3);
        assert_eq!(asked(&mut throttle, at(0), asker(1), 9), 3);
        assert_eq!(asked(&mut throttle, at(99), asker(1), 9), 0);
        assert_eq!(asked(&mut throttle, at(100), asker(1), 9), 1);
        assert_eq!(asked(&mut throttle, at(300), asker(1), 9), 2);
        assert_eq!(asked(&mut throttle, at(9999), asker(1), 9), 3);
        assert_eq!(
            asked(&mut throttle, at(9999), asker(2), 9),
            3,
            "another's bucket"
        );
    }

    #[test]
    fn what_is_refused_by_one_bucket_costs_nothing_in_the_others() {
        let mut throttle = Throttle::new(Rates {
            session: rate(1, 5),
            address: rate(1, 2),
            identity: None,
        });
        assert_eq!(throttle.ask(at(0), asker(1)), Ok(()));
        assert_eq!(throttle.ask(at(0), asker(1)), Ok(()));
        for _ in 0..9 {
            assert_eq!(throttle.ask(at(0), asker(1)), Err(Reached::AddressRate));
        }
        let elsewhere = Asker {
            address: IpAddr::from([10, 0, 0, 9]),
            ..asker(1)
        };
        assert_eq!(asked(&mut throttle, at(0), elsewhere, 9), 2);
        let there = Asker {
            address: IpAddr::from([10, 0, 0, 8]),
            ..asker(1)
        };
        assert_eq!(throttle.ask(at(0), there), Ok(()), "the last of five");
        assert_eq!(throttle.ask(at(0), there), Err(Reached::SessionRate));
    }

    #[test]
    fn identities_share_a_bucket_and_the_super_user_has_none() {
        let mut throttle = Throttle::new(Rates {
            identity: rate(1, 4),
            ..Rates::default()
        });
        let who = [
            Identity::new("ip", "10.0.0.1"),
            Identity::new("digest", "a:x"),
        ];
        let all = [Identity::new(SUPER, ""), Identity::new("digest", "a:x")];
        let as_who = |number, identities| Asker {
            identities,
            ..asker(number)
        };
        assert_eq!(asked(&mut throttle, at(0), as_who(1, &who[..1]), 99), 99);
        assert_eq!(asked(&mut throttle, at(0), as_who(1, &who), 3), 3);
        assert_eq!(asked(&mut throttle, at(0), as_who(2, &who), 3), 1);
        assert_eq!(asked(&mut throttle, at(0), as_who(2, &all), 99), 99);
    }

    #[test]
    fn there_are_never_too_many_buckets_and_none_that_is_full_stays() {
        let mut throttle = of_sessions(1, 9);
        for session in 0..BUCKETS_MAX as i64 + 10 {
            let session = SessionId(session);
            let asker = Asker {
                session,
                ..asker(1)
            };
            assert_eq!(throttle.ask(at(session.0 as u64 / 1000), asker), Ok(()));
        }
        assert_eq!(throttle.full_at.len(), BUCKETS_MAX);
        assert_eq!(throttle.by_hour.len(), BUCKETS_MAX);
        for round in 0..BUCKETS_MAX as u64 / 4 {
            assert_eq!(throttle.ask(at(100_000 + round * 2000), asker(1)), Ok(()));
        }
        assert_eq!((throttle.full_at.len(), throttle.by_hour.len()), (1, 1));
    }

    proptest! {
        /// By definition: within every span of time there are at most `burst` requests and those
        /// for which tokens came. Who keeps to that is never refused, and nobody gets more.
        #[test]
        fn who_stays_below_the_rate_is_never_refused_and_nobody_gets_more(
            per_second in 1u32..50,
            burst in 1u32..20,
            steps in many((0u64..300, 0u8..3), 1..200),
        ) {
            let mut throttle = Throttle::new(Rates {
                session: rate(per_second, burst),
                address: rate(1_000_000, 1_000_000),
                identity: None,
            });
            let token_ns = 1_000_000_000 / u64::from(per_second);
            let (mut now_ms, mut let_through) = (0, [(); 3].map(|()| Vec::<Instant>::new()));
            for (wait_ms, who) in steps {
                now_ms += wait_ms;
                let (now, mine) = (at(now_ms), &mut let_through[usize::from(who)]);
                // Of the requests since any earlier one, this one included, how many had tokens?
                let had = |(index, first): (usize, &Instant)| {
                    let came = now.since(*first).as_nanos() as u64 / token_ns;
                    ((mine.len() - index) as u64) < came + u64::from(burst)
                };
                let below = mine.iter().enumerate().all(had);
                let asked = throttle.ask(now, asker(who));
                prop_assert_eq!(asked.is_ok(), below, "at {} ms: {:?}", now_ms, mine);
                if asked.is_ok() {
                    mine.push(now);
                }
            }
        }
    }
}
