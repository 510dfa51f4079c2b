//! Counters of requests, replies and latencies, of one connection or of the whole server.

use althing_core::node::event::Event;
use althing_core::time::Duration;

/// The counters that `srvr`, `stat`, `cons` and `mntr` show.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Statistics {
    /// Frames from clients.
    pub received: u64,
    /// Frames to clients, watch events included.
    pub sent: u64,
    /// Connections that were opened.
    pub opened: u64,
    /// Connections that were cut off because their client did not read.
    pub cut: u64,
    /// Requests that were larger than a frame may be.
    pub large_requests: u64,
    /// Requests whose answer would have been larger than a reply may be.
    pub large_replies: u64,
    /// Writes that were refused since they would have exceeded a quota.
    pub quotas_exceeded: u64,
    /// Requests of clients that ask too often.
    pub throttled: u64,
    latencies: u64,
    latency_sum: Duration,
    latency_min: Duration,
    latency_max: Duration,
}

impl Statistics {
    /// Counts anew; what became of connections and of quotas stays.
    pub fn reset(&mut self) {
        let Statistics {
            opened,
            cut,
            quotas_exceeded,
            ..
        } = *self;
        *self = Statistics {
            opened,
            cut,
            quotas_exceeded,
            ..Statistics::default()
        };
    }

    /// Counts what the node has noted.
    pub fn observe(&mut self, event: &Event) {
        if let Event::QuotaRefused { .. } = event {
            self.quotas_exceeded += 1;
        }
    }

    /// Counts an answer that took `latency` since its request was read.
    pub fn answered(&mut self, latency: Duration) {
        self.latency_min = match self.latencies {
            0 => latency,
            _ => self.latency_min.min(latency),
        };
        self.latency_max = self.latency_max.max(latency);
        self.latency_sum = self.latency_sum.saturating_add(latency);
        self.latencies += 1;
    }

    /// The shortest latency in whole milliseconds, ZooKeeper's unit.
    pub fn latency_min_ms(&self) -> u128 {
        self.latency_min.as_millis()
    }

    /// The longest latency in whole milliseconds.
    pub fn latency_max_ms(&self) -> u128 {
        self.latency_max.as_millis()
    }

    /// The mean latency in milliseconds.
    pub fn latency_mean_ms(&self) -> f64 {
        match self.latencies {
            0 => 0.0,
            count => self.latency_sum.as_secs_f64() * 1000.0 / count as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use althing_core::tree::path::Path;

    #[test]
    fn latencies_have_a_least_a_mean_and_a_most() {
        let mut statistics = Statistics::default();
        assert_eq!(statistics.latency_mean_ms(), 0.0);
        for ms in [4, 1, 7] {
            statistics.answered(Duration::from_millis(ms));
        }
        assert_eq!(statistics.latency_min_ms(), 1);
        assert_eq!(statistics.latency_mean_ms(), 4.0);
        assert_eq!(statistics.latency_max_ms(), 7);
        statistics.opened = 3;
        statistics.received = 9;
        let path = Path::root();
        statistics.observe(&Event::QuotaRefused { path });
        statistics.reset();
        let (opened, quotas_exceeded) = (3, 1);
        let fresh = Statistics {
            opened,
            quotas_exceeded,
            ..Statistics::default()
        };
        assert_eq!(statistics, fresh);
    }
}
