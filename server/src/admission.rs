//! How many connections there are, in all and from each address, and whether one more may come.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;

use crate::limits::Limits;

/// Why a connection is not served.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum TooMany {
    /// There are as many as there may be.
    #[error("there are already {0} connections, as many as there may be (max_connections)")]
    InAll(usize),
    /// There are as many from its address as there may be.
    #[error(
        "there are already {0} connections from its address, as many as there may be \
         (max_connections_per_address, maxClientCnxns)"
    )]
    FromAddress(usize),
}

#[derive(Debug, Default)]
struct Counts {
    in_all: usize,
    from_address: BTreeMap<IpAddr, usize>,
}

/// Counts connections; all clones count together.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    counts: Arc<Mutex<Counts>>,
}

/// One connection that is counted until this is dropped.
#[derive(Debug)]
pub struct Admitted {
    admission: Admission,
    address: IpAddr,
}

impl Admission {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Nothing in this file can panic between two halves of a change.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more connection.
    ///
    /// # Errors
    /// If it is one too many.
    pub fn admit(&self, limits: &Limits, address: IpAddr) -> Result<Admitted, TooMany> {
        let mut counts = self.lock();
        if reached(counts.in_all, limits.connections_max) {
            return Err(TooMany::InAll(counts.in_all));
        }
        let here = counts.from_address.get(&address).copied().unwrap_or(0);
        if reached(here, limits.connections_per_address_max) {
            return Err(TooMany::FromAddress(here));
        }
        counts.in_all += 1;
        counts.from_address.insert(address, here + 1);
        drop(counts);
        Ok(Admitted {
            admission: self.clone(),
            address,
        })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.lock().in_all
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut counts = self.admission.lock();
        counts.in_all -= 1;
        if let Some(here) = counts.from_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                counts.from_address.remove(&self.address);
            }
        }
    }
}

/// A limit of 0 is none.
fn reached(count: usize, max: usize) -> bool {
    max != 0 && count >= max
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_hold_and_places_come_back() {
        let limits = Limits {
            connections_max: 3,
            connections_per_address_max: 2,
            ..Limits::default()
        };
        let [near, far] = ["10.0.0.1", "10.0.0.2"].map(|ip| ip.parse::<IpAddr>().expect("an ip"));
        let admission = Admission::default();
        let first = admission.admit(&limits, near).expect("the first");
        let _second = admission.admit(&limits, near).expect("the second");
        let third = admission.admit(&limits, near);
        assert_eq!(third.err(), Some(TooMany::FromAddress(2)));
        let _fourth = admission.admit(&limits, far).expect("another address");
        let fifth = admission.admit(&limits, far);
        assert_eq!(fifth.err(), Some(TooMany::InAll(3)));
        drop(first);
        assert_eq!(admission.count(), 2);
        admission.admit(&limits, near).expect("a place came back");
    }

    #[test]
    fn zero_is_no_limit() {
        let limits = Limits {
            connections_max: 0,
            connections_per_address_max: 0,
            ..Limits::default()
        };
        let admission = Admission::default();
        let address: IpAddr = "::1".parse().expect("an ip");
        let all: Vec<Admitted> = (0..100)
            .map(|_| admission.admit(&limits, address).expect("no limit"))
            .collect();
        assert_eq!(admission.count(), all.len());
    }
}
