//! Every order of events, within bounds: the network is held, and at each step every packet in flight may
//! arrive next or be lost.
//!
//! Nodes cannot be copied, so each run starts afresh and follows a script of choices; the next script is the
//! last one with its last open choice changed. What is explored is therefore a tree, depth first, and each leaf
//! is one run.

use std::time::Duration;

use crate::{Network, Node, PacketId};

/// Bounds of an exploration.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Packets that may be lost in a run.
    pub losses: usize,
    /// Timers that may go off in a run while packets are in flight: the network is slower than they are.
    pub early_timers: usize,
    /// Steps of a run; one that needs more has failed.
    pub steps: usize,
    /// Runs; beyond it the exploration says that it is not complete.
    pub runs: usize,
}

/// One step of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// This packet arrives.
    Deliver(PacketId),
    /// This packet is lost.
    Lose(PacketId),
    /// The earliest timer goes off.
    Timer,
}

/// What an exploration found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Runs made.
    pub runs: usize,
    /// All runs within the plan's other bounds were made.
    pub complete: bool,
    /// The choices of the first run that failed, and why.
    pub failure: Option<(Vec<Choice>, String)>,
    /// Runs that failed.
    pub failures: usize,
    /// The most steps that a run took.
    pub longest: usize,
}

/// How a run stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stand {
    /// Not there yet.
    Open,
    /// There. What is in flight is still delivered, and must not break it.
    Done,
    /// It can never get there.
    Failed(String),
}

/// Makes every run. `begin` gives a network that is held; `judge` looks at it after each step.
pub fn explore<N: Node + ?Sized>(
    plan: &Plan,
    mut begin: impl FnMut() -> Network<N>,
    mut judge: impl FnMut(&Network<N>) -> Stand,
) -> Found {
    let mut found = Found { runs: 0, complete: true, failure: None, failures: 0, longest: 0 };
    let mut script: Vec<(usize, usize)> = Vec::new();
    loop {
        if found.runs >= plan.runs {
            found.complete = false;
            return found;
        }
        found.runs += 1;
        let (made, verdict) = run(plan, begin(), &mut judge, &mut script);
        found.longest = found.longest.max(made.len());
        if let Err(why) = verdict {
            found.failures += 1;
            found.failure.get_or_insert((made, why));
        }
        while script.last().is_some_and(|&(choice, of)| choice + 1 >= of) {
            script.pop();
        }
        match script.last_mut() {
            Some((choice, _)) => *choice += 1,
            None => return found,
        }
    }
}

/// Follows choices again, to look at what they lead to.
pub fn replay<N: Node + ?Sized>(network: &mut Network<N>, choices: &[Choice]) {
    for &choice in choices {
        take(network, choice);
    }
}

/// One run: the choices of `script` (which one, of how many), and from its end on the first of each.
fn run<N: Node + ?Sized>(
    plan: &Plan,
    mut network: Network<N>,
    judge: &mut impl FnMut(&Network<N>) -> Stand,
    script: &mut Vec<(usize, usize)>,
) -> (Vec<Choice>, Result<(), String>) {
    let mut made = Vec::new();
    loop {
        let stand = judge(&network);
        match stand {
            Stand::Failed(why) => return (made, Err(why)),
            Stand::Done if network.in_flight().is_empty() => return (made, Ok(())),
            Stand::Open | Stand::Done => {}
        }
        if made.len() >= plan.steps || network.over().is_some() {
            return (made, Err(format!("not there after {} steps", plan.steps)));
        }
        let choices = choices(plan, &mut network, &made);
        let Some(choice) = pick(&choices, script, made.len()) else {
            return (made, Err("nothing in flight, no timer set, and not there".to_owned()));
        };
        take(&mut network, choice);
        made.push(choice);
    }
}

fn pick(choices: &[Choice], script: &mut Vec<(usize, usize)>, step: usize) -> Option<Choice> {
    if step >= script.len() {
        script.push((0, choices.len()));
    }
    choices.get(script.get(step)?.0).copied()
}

fn choices<N: Node + ?Sized>(plan: &Plan, network: &mut Network<N>, made: &[Choice]) -> Vec<Choice> {
    let in_flight = network.in_flight().to_vec();
    let mut choices: Vec<_> = in_flight.iter().map(|&id| Choice::Deliver(id)).collect();
    let lost = made.iter().filter(|choice| matches!(choice, Choice::Lose(_))).count();
    if lost < plan.losses {
        choices.extend(in_flight.iter().map(|&id| Choice::Lose(id)));
    }
    let timers = made.iter().filter(|choice| **choice == Choice::Timer).count();
    if (in_flight.is_empty() || timers < plan.early_timers) && network.next_timer().is_some() {
        choices.push(Choice::Timer);
    }
    choices
}

fn take<N: Node + ?Sized>(network: &mut Network<N>, choice: Choice) {
    // A step takes a little time, so that a log can be read; timers are far longer.
    network.pass(Duration::from_micros(100));
    match choice {
        Choice::Deliver(id) => network.deliver(id),
        Choice::Lose(id) => network.lose(id),
        Choice::Timer => {
            network.fire_next_timer();
        }
    }
}
