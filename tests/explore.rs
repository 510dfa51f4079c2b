//! The explorer in its small form: every state of small ensembles of the shipping node, within
//! bounds, with all invariants checked in each; and the test of the explorer itself.

use std::collections::BTreeSet;
use std::collections::hash_map::{Entry, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use althing_core::ids::ServerId;
use althing_sim::explore::action::Action;
use althing_sim::explore::bounds::{Counts, Kind};
use althing_sim::explore::choices::choices;
use althing_sim::explore::configurations::{self, Configuration, Size};
use althing_sim::explore::disk::Honesty;
use althing_sim::explore::lab::Lab;
use althing_sim::explore::options::{Ways, explore_one, heading, missing, row};
use althing_sim::explore::search::{Limits, Tally, Verdict, follow, search};
use althing_sim::explore::story::first;
use althing_sim::explore::trace::{Counterexample, tell};
use althing_sim::explore::walk::walk;
use althing_sim::explore::words;
use althing_sim::explore::world::World;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use stateright::{Checker as _, Model as _, Property};

/// Unique states of one configuration: none of the small ones has as many.
const STATES_MAX: u64 = 6_000_000;
/// States whose futures are compared, of each configuration.
const FUTURES_MAX: usize = 2_000;
/// Real time of one configuration; only a machine that is very busy needs as much.
const REAL_MAX: Duration = Duration::from_secs(240);
/// Memory of one configuration's set of states.
const BYTES_MAX: u64 = 1 << 30;
/// Unique states that each half of the configurations has at least.
const STATES_MIN: u64 = 10_000_000;

static NEVER: AtomicBool = AtomicBool::new(false);

fn limits(states_max: u64) -> Limits<'static> {
    Limits {
        states_max,
        real_max: REAL_MAX,
        busy_max: REAL_MAX,
        bytes_max: BYTES_MAX,
        stop: &NEVER,
    }
}

fn found(configuration: &Configuration, tally: &Tally) -> Option<Counterexample> {
    match &tally.verdict {
        Verdict::Broken(actions, violation) => {
            let first = first(configuration).expect("the prelude");
            let violation = violation.clone();
            Some(Counterexample::new(
                configuration,
                &first,
                actions,
                violation,
            ))
        }
        Verdict::Whole | Verdict::Partial(_) => None,
    }
}

/// Searches the small configurations whose place in the list is `share` modulo `shares`: wholly,
/// every state within their bounds.
fn explore(share: usize, shares: usize) -> u64 {
    println!("{}", heading());
    let mut states = 0;
    for configuration in small().skip(share).step_by(shares) {
        let first = first(&configuration).expect("the prelude");
        let tally = search(first, &limits(STATES_MAX));
        println!("{}", row(configuration.name, &configuration, &tally));
        if let Some(counterexample) = found(&configuration, &tally) {
            panic!("{}", counterexample.story());
        }
        let name = configuration.name;
        assert!(
            matches!(tally.verdict, Verdict::Whole),
            "{name}: {:?}",
            tally.verdict
        );
        let missing = missing(&configuration, &tally);
        assert!(missing.is_empty(), "{name}: never seen: {missing:?}");
        states += tally.states;
    }
    states
}

fn small() -> impl Iterator<Item = Configuration> {
    let all = configurations::all().into_iter();
    all.filter(|configuration| configuration.size == Size::Small)
}

/// Two tests, so that two processors share the work.
#[test]
fn all_invariants_hold_in_the_odd_configurations() {
    let states = explore(0, 2);
    assert!(states >= STATES_MIN, "only {states} unique states");
}

#[test]
fn all_invariants_hold_in_the_even_configurations() {
    let states = explore(1, 2);
    assert!(states >= STATES_MIN, "only {states} unique states");
}

#[test]
fn walks_through_larger_ensembles_find_nothing_and_always_lead_to_progress() {
    for (seed, name) in (1..).zip(["crashes-large", "forwarding-large", "lost-disk-large"]) {
        let configuration = configurations::find(name).expect("a configuration");
        let first = first(&configuration).expect("the prelude");
        let tally = walk(first, seed, &limits(20_000));
        if let Some(counterexample) = found(&configuration, &tally) {
            panic!("{}", counterexample.story());
        }
        assert!(tally.states >= 20_000, "{name}: {} states", tally.states);
    }
}

/// Half of what a configuration may cost goes to walks if a search does not see it whole.
#[test]
fn what_cannot_be_searched_whole_is_walked_through_as_well() {
    let explored = |name, ways, states_max| {
        let configuration = configurations::find(name).expect("a configuration");
        let first = first(&configuration).expect("the prelude");
        let found = explore_one(&first, configuration.size, ways, 1, &limits(states_max));
        let states = |tally: Option<Tally>| {
            tally.map(|tally| match tally.verdict {
                Verdict::Broken(_, violation) => panic!("{violation}"),
                Verdict::Whole | Verdict::Partial(_) => tally.states,
            })
        };
        [found.in_order, found.walks].map(states)
    };
    let [in_order, walks] = explored("crashes-large", Ways::Both, 20_000);
    assert_eq!(in_order, Some(10_000));
    // A walk is taken to its end.
    assert!(
        walks.is_some_and(|states| (10_000..11_000).contains(&states)),
        "{walks:?}"
    );
    let alone = explored("crashes-large", Ways::InOrder, 20_000);
    assert_eq!(alone, [Some(20_000), None]);
    // What a machine can see whole is left to the search.
    let small = explored("election", Ways::Both, STATES_MAX);
    assert!(matches!(small, [Some(_), None]), "{small:?}");
}

/// Disks that do not keep what they say is saved: each kind must be found, and its counterexample
/// must tell the same again.
#[test]
fn planted_bugs_are_found_and_their_stories_can_be_told_again() {
    let planted = [
        ("crashes", Honesty::LosesBallots, "I5 election safety"),
        ("replication", Honesty::LosesEntries, "I3 durability"),
    ];
    for (name, honesty, invariant) in planted {
        let mut configuration = configurations::find(name).expect("a configuration");
        configuration.rules.honesty = honesty;
        // One vote for each of two candidates in one epoch.
        configuration.rules.candidates = (1..=3).map(ServerId).collect();
        configuration.rules.allowed =
            Counts::of(&[(Kind::Election, 2), (Kind::Restart, 2), (Kind::Ask, 1)]);
        let tally = search(
            first(&configuration).expect("the prelude"),
            &limits(STATES_MAX),
        );
        let counterexample = found(&configuration, &tally);
        let counterexample =
            counterexample.unwrap_or_else(|| panic!("{name}: {:?}", tally.verdict));
        assert_eq!(counterexample.violation.invariant, invariant);
        assert!(
            counterexample.commands.len() <= 20,
            "not small: {:?}",
            counterexample.commands
        );
        let mut world = first(&configuration).expect("the prelude");
        let mut broken = None;
        for command in &counterexample.commands {
            let action = words::action(&world, command).expect("a command");
            match follow(
                &world,
                &action.expect("it can happen"),
                &mut Lab::counting(),
            ) {
                Ok(next) => world = next,
                Err(violation) => broken = Some(violation),
            }
        }
        assert_eq!(broken, Some(counterexample.violation));
    }
}

/// What a counterexample says can be told by anybody, without the search.
#[test]
fn a_story_of_a_configuration_can_be_told() {
    let (told, end) = tell("> configuration replication\n> ask c1 create\n> settle\n> show\n");
    assert!(end.is_ok(), "{told}");
    assert!(told.contains("tells c1: #1 @1.2 created"), "{told}");
}

/// A world of the explorer as a model of the crate stateright, which shares no code with the
/// explorer's own search.
#[derive(Clone, Debug)]
struct Model(World);

/// A state that stateright can keep in its tables.
#[derive(Clone, Debug)]
struct Seen(World);

impl PartialEq for Seen {
    fn eq(&self, other: &Seen) -> bool {
        self.0.fingerprint() == other.0.fingerprint()
    }
}

impl Hash for Seen {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.fingerprint().hash(state);
    }
}

impl stateright::Model for Model {
    type State = Seen;
    type Action = Action;

    fn init_states(&self) -> Vec<Seen> {
        vec![Seen(self.0.clone())]
    }

    fn actions(&self, state: &Seen, actions: &mut Vec<Action>) {
        actions.extend(choices(&state.0));
    }

    fn next_state(&self, state: &Seen, action: Action) -> Option<Seen> {
        let next = follow(&state.0, &action, &mut Lab::counting());
        Some(Seen(next.expect("nothing is broken")))
    }

    fn properties(&self) -> Vec<Property<Model>> {
        // Its checker ends as soon as nothing is left to find out: this never is.
        vec![Property::always("everything is looked at", |_, _| true)]
    }
}

/// What can happen next, and which states it leads to. Nothing is remembered from one step to the
/// next.
fn futures(world: &World, known_by: fn(&World) -> u128) -> Vec<(World, u128)> {
    let follow = |action| follow(world, &action, &mut Lab::forgetful()).expect("all is well");
    let nexts = choices(world).into_iter().map(follow);
    nexts.map(|next| (next.clone(), known_by(&next))).collect()
}

/// Looks, in random order, for two states that are known by the same number and come to different
/// ones: then the number leaves out something that decides.
fn differing_futures(first: World, known_by: fn(&World) -> u128, states_max: usize) -> usize {
    let mut random = StdRng::seed_from_u64(7);
    let mut known: HashMap<u128, BTreeSet<u128>> = HashMap::new();
    let mut unseen = vec![first];
    let mut differing = 0;
    while !unseen.is_empty() && known.len() < states_max {
        let world = unseen.swap_remove(random.random_range(0..unseen.len()));
        let futures = futures(&world, known_by);
        let digests = futures.iter().map(|(_, digest)| *digest).collect();
        match known.entry(known_by(&world)) {
            Entry::Occupied(before) => differing += usize::from(*before.get() != digests),
            Entry::Vacant(new) => {
                new.insert(digests);
                unseen.extend(futures.into_iter().map(|(next, _)| next));
            }
        }
    }
    differing
}

/// The fingerprint of a state says everything that decides what happens next: equal ones have equal
/// futures. Were it otherwise, a search would take a new state for one that it has seen.
#[test]
fn states_of_equal_fingerprints_have_equal_futures() {
    for configuration in small() {
        let first = first(&configuration).expect("the prelude");
        let differing = differing_futures(first, World::fingerprint, FUTURES_MAX);
        assert_eq!(differing, 0, "{}", configuration.name);
    }
}

/// The check above can fail: without the messages in flight states are not told apart.
#[test]
fn a_fingerprint_that_leaves_out_what_decides_is_noticed() {
    let servers_only = |world: &World| {
        let servers = world.servers().iter();
        servers.fold(0, |all: u128, server| {
            all.rotate_left(1) ^ server.fingerprint()
        })
    };
    let configuration = configurations::find("replication").expect("a configuration");
    let first = first(&configuration).expect("the prelude");
    assert!(differing_futures(first, servers_only, FUTURES_MAX) > 0);
}

#[test]
fn another_model_checker_counts_the_same_states() {
    let small: [(&str, &[(Kind, u8)]); 3] = [
        ("election", &[(Kind::Election, 2), (Kind::Beat, 1)]),
        (
            "replication",
            &[(Kind::Ask, 1), (Kind::Drop, 1), (Kind::Beat, 1)],
        ),
        ("crashes", &[(Kind::Ask, 1), (Kind::Restart, 1)]),
    ];
    for (name, allowed) in small {
        let mut configuration = configurations::find(name).expect("a configuration");
        configuration.rules.allowed = Counts::of(allowed);
        // Its checker does not know of states beyond the bounds.
        configuration.rules.epoch_max = u32::MAX;
        let world = first(&configuration).expect("the prelude");
        let tally = search(world.clone(), &limits(STATES_MAX));
        assert!(
            matches!(tally.verdict, Verdict::Whole),
            "{name}: {:?}",
            tally.verdict
        );
        let checker = Model(world).checker().spawn_bfs().join();
        println!("{name}: {} unique states", tally.states);
        assert_eq!(checker.unique_state_count() as u64, tally.states, "{name}");
        assert!(
            tally.states > 1000,
            "{name} is too small to tell: {}",
            tally.states
        );
    }
}
