//! What packets meet between machines: power, cuts, slowness and weather. A plain value;
//! [`crate::world::net`] sends streams and datagrams through it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::plan::{Direction, Weather};
use crate::random::Stream;
use crate::world::connection::MachineId;

/// The first wait before a packet is sent again: Linux's least.
pub(super) const RETRY_FIRST: Duration = Duration::from_millis(200);
/// The longest wait before a packet is sent again; shorter than Linux's two minutes, since a sender
/// gives up after [`GIVE_UP`].
pub const RETRY_MAX: Duration = Duration::from_secs(3);
/// A sender without progress for so long fails: `TCP_USER_TIMEOUT`, as careful programs set it.
pub const GIVE_UP: Duration = Duration::from_secs(15);

struct Machine {
    name: Arc<str>,
    powered: bool,
    /// How many cuts are in force on what it sends, and on what is sent to it.
    cut_from: u32,
    cut_to: u32,
    slower: Duration,
}

/// The ether of one run.
pub(super) struct Ether {
    weather: Weather,
    machines: Vec<Machine>,
    /// How many cuts are in force from one machine to another.
    cuts: BTreeMap<(MachineId, MachineId), u32>,
}

impl Ether {
    pub(super) fn new(weather: &Weather) -> Ether {
        Ether {
            weather: weather.clone(),
            machines: Vec::new(),
            cuts: BTreeMap::new(),
        }
    }

    pub(super) fn find(&self, name: &str) -> Option<MachineId> {
        let place = |machine: &Machine| &*machine.name == name;
        self.machines.iter().position(place).map(MachineId)
    }

    /// A new machine, with power.
    pub(super) fn add(&mut self, name: &str) -> MachineId {
        self.machines.push(Machine {
            name: Arc::from(name),
            powered: true,
            cut_from: 0,
            cut_to: 0,
            slower: Duration::ZERO,
        });
        MachineId(self.machines.len() - 1)
    }

    pub(super) fn name(&self, machine: MachineId) -> &Arc<str> {
        &self.machines[machine.0].name
    }

    pub(super) fn power(&mut self, machine: MachineId) -> &mut bool {
        &mut self.machines[machine.0].powered
    }

    pub(super) fn is_powered(&self, machine: MachineId) -> bool {
        self.machines[machine.0].powered
    }

    /// Cuts a machine off from all others.
    pub(super) fn cut(&mut self, machine: MachineId, direction: Direction) {
        let machine = &mut self.machines[machine.0];
        machine.cut_from += u32::from(direction != Direction::To);
        machine.cut_to += u32::from(direction != Direction::From);
    }

    /// Takes one [`Ether::cut`] back.
    pub(super) fn mend(&mut self, machine: MachineId, direction: Direction) {
        let machine = &mut self.machines[machine.0];
        machine.cut_from -= u32::from(direction != Direction::To);
        machine.cut_to -= u32::from(direction != Direction::From);
    }

    /// Cuts the way from one machine to another.
    pub(super) fn cut_way(&mut self, from: MachineId, to: MachineId) {
        *self.cuts.entry((from, to)).or_default() += 1;
    }

    /// Takes one [`Ether::cut_way`] back.
    pub(super) fn mend_way(&mut self, from: MachineId, to: MachineId) {
        let cuts = self.cuts.get_mut(&(from, to)).expect("a way that is cut");
        *cuts -= 1;
        if *cuts == 0 {
            self.cuts.remove(&(from, to));
        }
    }

    pub(super) fn slower(&mut self, machine: MachineId) -> &mut Duration {
        &mut self.machines[machine.0].slower
    }

    /// Does a packet pass now?
    pub(super) fn passes(&self, from: MachineId, to: MachineId) -> bool {
        self.machines[from.0].cut_from == 0
            && self.machines[to.0].cut_to == 0
            && !self.cuts.contains_key(&(from, to))
    }

    /// How long the packet of a stream is on its way, losses and all that follows from them
    /// included.
    pub(super) fn delay(&self, from: MachineId, to: MachineId, random: &mut Stream) -> Duration {
        let mut delay = self.once(from, to, random);
        let mut retry = RETRY_FIRST;
        while random.chance(self.weather.loss) && delay < GIVE_UP {
            delay += retry;
            retry = (retry * 2).min(RETRY_MAX);
        }
        delay
    }

    /// How long each copy of a datagram that comes is on its way: none, one, or two.
    pub(super) fn copies(
        &self,
        from: MachineId,
        to: MachineId,
        random: &mut Stream,
    ) -> Vec<Duration> {
        let delays = [self.once(from, to, random), self.once(from, to, random)];
        let lost = random.chance(self.weather.loss);
        let doubled = random.chance(self.weather.shuffle);
        let count = usize::from(!lost) + usize::from(!lost && doubled);
        delays[..count].to_vec()
    }

    fn once(&self, from: MachineId, to: MachineId, random: &mut Stream) -> Duration {
        let slower = self.machines[from.0].slower + self.machines[to.0].slower;
        let weather = &self.weather;
        weather.delay_min.0 + random.exponential(weather.delay_mean.0) + slower
    }
}
