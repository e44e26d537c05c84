//! A small obviously right NAT beside the engine: the same random traffic, time and settings for
//! both, and every packet, event, counter and table compared after every step.
//!
//! `HAIRPIN_MODEL_CASES` and `HAIRPIN_MODEL_STEPS` (a case) scale it up, `HAIRPIN_MODEL_SEED`
//! changes the traffic. A failing case is made as short as it gets and printed, a line for each
//! packet.

mod basic;
mod blocks;
mod edge;
mod failing;
mod filter;
mod fragments;
mod ftp;
mod icmp;
mod judge;
mod kept;
mod knobs;
mod nat;
mod octets;
mod plan;
mod ports;
mod refusing;
mod scrub;
mod settings;
mod tcp;
mod time;
mod tombs;
mod traffic;
mod ways;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hairpin_nat::{Config, Finding, Reason};
use proptest::collection::vec;
use proptest::test_runner::{Config as Runs, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use plan::Step;
use world::World;

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Runs one case; on a difference the answer is all that was done, and the difference.
fn run(config: &Config, steps: &[Step]) -> Result<World, String> {
    let mut world = World::new(config, 7)?;
    for step in steps {
        let outcome = catch_unwind(AssertUnwindSafe(|| act(&mut world, step)));
        if let Err(why) = outcome.unwrap_or_else(|_| Err("a panic, see above".into())) {
            return Err(format!("{config:#?}\n{}\n=> {why}", world.trace));
        }
    }
    Ok(world)
}

/// What the traffic has met, all cases together.
#[derive(Default, Debug)]
struct Met {
    forwarded: [u64; 2],
    hairpinned: u64,
    errors_sent: u64,
    errors_limited: u64,
    last_acks: u64,
    shifted: u64,
    reused: u64,
    sessions: u64,
    wars: u64,
    ftp: u64,
    wholes: u64,
    others: u64,
    found: BTreeMap<&'static str, u64>,
    drops: BTreeMap<&'static str, u64>,
}

impl Met {
    fn add(&mut self, world: &World) {
        let counters = world.engine.counters();
        self.forwarded[0] += counters.forwarded[0];
        self.forwarded[1] += counters.forwarded[1];
        self.hairpinned += counters.hairpinned;
        self.errors_sent += counters.icmp_errors_sent;
        self.errors_limited += counters.icmp_errors_limited;
        self.sessions += counters.sessions_deleted;
        self.last_acks += counters.last_acks_sent;
        self.shifted += counters.sessions_shifted;
        self.reused += world.model.reused;
        self.ftp += counters.ftp_rewritten;
        self.wholes += world.model.wholes;
        self.others += world.model.others;
        self.wars += counters.scrubbed.wars;
        for (finding, count) in counters.scrubbed.found() {
            *self.found.entry(finding.name()).or_default() += count;
        }
        for (reason, count) in counters.drops() {
            *self.drops.entry(reason.name()).or_default() += count;
        }
    }

    /// Reasons that no packet was refused for. Frames never reach the engine.
    fn missing(&self) -> Vec<&'static str> {
        let names = Reason::all().map(Reason::name);
        names
            .filter(|name| !["link-truncated", "vlan-depth"].contains(name) && !self.drops.contains_key(name))
            .collect()
    }
}

fn act(world: &mut World, step: &Step) -> Result<(), String> {
    match step {
        Step::Batch(plans) => {
            let mut inputs: Vec<_> =
                plans.iter().flat_map(|plan| traffic::build(plan, &world.model, &world.samples)).collect();
            inputs.truncate(hairpin_nat::BATCH);
            if inputs.is_empty() { Ok(()) } else { world.batch(inputs) }
        }
        &Step::Wait(millis, tell) => world.wait(u64::from(millis) * 1_000_000, tell),
        &Step::Deadline { pick, millis, tell } => {
            let at = world.model.deadline_number(pick).map(|tick| tick as i64 * 100 + i64::from(millis));
            let wait = at.unwrap_or(0) - (world.now.as_nanos() / 1_000_000) as i64;
            world.wait(wait.max(0) as u64 * 1_000_000, tell)
        }
        &Step::Poll(times) => (0..times).try_for_each(|_| world.poll()),
        Step::Ask(ask) => world.ask(ask),
        Step::Life { ends, segments, plan } => {
            let lives = plan::life(*ends, *segments, plan);
            lives.iter().try_for_each(|plan| act(world, &Step::Batch(vec![plan.clone()])))
        }
        Step::Talk { ends, plans } => {
            let talk = plan::talk(*ends, plans);
            talk.iter().try_for_each(|plan| act(world, &Step::Batch(vec![plan.clone()])))
        }
        Step::War { ends, rounds, plan } => {
            let war = plan::war(*ends, *rounds, plan);
            war.iter().try_for_each(|plan| act(world, &Step::Batch(vec![plan.clone()])))
        }
        &Step::Rekey(seed) => {
            world.engine.rekey([seed; 32]);
            Ok(())
        }
    }
}

// covers: N1, N2, N8, N10, N11, N16, N18, N19, B3, B4, B7, B10
// covers: B1.4787-1, B1.4787-2, B1.4787-3, B1.4787-3a, B1.4787-6, B1.4787-6a, B1.4787-8, B1.4787-9
// covers: B1.4787-9a, B1.4787-11, B1.4787-12, B1.4787-12a, B1.4787-12b, B1.4787-13, B1.4787-13a, B1.4787-14
// covers: B1.5382-1, B1.5382-2, B1.5382-3, B1.5382-7, B1.5382-8, B1.5382-8a, B1.5382-9, B1.5382-10
// covers: B1.5508-1, B1.5508-1a, B1.5508-3, B1.5508-3a, B1.5508-3b, B1.5508-3c, B1.5508-3d, B1.5508-4
// covers: B1.5508-4a, B1.5508-4b, B1.5508-4c, B1.5508-5, B1.5508-5a, B1.5508-5b, B1.5508-5c, B1.5508-6
// covers: B1.5508-7, B1.5508-7a, C1, C2, C3, C4, C5
#[test]
fn the_engine_does_what_the_model_does() {
    let cases = setting("HAIRPIN_MODEL_CASES", 2_000) as u32;
    let steps = setting("HAIRPIN_MODEL_STEPS", 60) as usize;
    let seed = setting("HAIRPIN_MODEL_SEED", 1);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let runs = Runs { cases, failure_persistence: None, max_shrink_iters: 20_000, ..Runs::default() };
    let mut runner = TestRunner::new_with_rng(runs, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let packets = std::cell::Cell::new(0);
    let met = std::cell::RefCell::new(Met::default());
    let outcome = runner.run(&(settings::config(), vec(plan::step(), 1..=steps)), |(config, steps)| {
        let world = run(&config, &steps).map_err(TestCaseError::fail)?;
        packets.set(packets.get() + world.packets);
        met.borrow_mut().add(&world);
        Ok(())
    });
    match outcome {
        Ok(()) => {
            println!("{cases} cases, {} packets; {:?}", packets.get(), met.borrow());
            // A generator that has lost its way would agree about everything.
            let missing = met.borrow().missing();
            assert!(cases < 2_000 || missing.is_empty(), "never met: {missing:?}");
            let met = met.borrow();
            let rare = [met.last_acks, met.shifted, met.reused, met.wars, met.wholes, met.others, met.ftp];
            // Alone: the NAT chooses Identifications anew.
            let unfound: Vec<_> = Finding::ALL
                .into_iter()
                .filter(|finding| *finding != Finding::IpId && !met.found.contains_key(finding.name()))
                .collect();
            assert!(cases < 2_000 || unfound.is_empty(), "never found: {unfound:?}");
            assert!(cases < 2_000 || !rare.contains(&0), "never met: {met:?}");
        }
        Err(TestError::Fail(why, _)) => panic!("HAIRPIN_MODEL_SEED={seed}: {}", why.message()),
        Err(TestError::Abort(why)) => panic!("{}", why.message()),
    }
}
