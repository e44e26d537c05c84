//! The scenarios, played by other stacks.

mod lwip;
mod smoltcp;

use hairpin_sim::Host;
use hairpin_sim::explore::Plan;
use hairpin_sim::ladder::{self, Style};
use hairpin_sim::scenario::{Played, Side, Wanted, simultaneous_close, simultaneous_open, window_probes};

use crate::lwip::{Lwip, Stack};
use crate::smoltcp::Smoltcp;

fn smoltcp(wanted: Wanted) -> Box<dyn Host> {
    Box::new(Smoltcp::new(wanted.address, wanted.seed, wanted.receive_buffer.unwrap_or(65_536) as usize))
}

fn show(title: &str, played: &Played) {
    let style = Style { title: title.to_owned(), numbers: played.numbers.clone(), rows: 40 };
    println!("{}\n{}\n", ladder::text(&played.log, &style), played.summary());
    std::fs::write(format!("/tmp/s/{title}.svg"), ladder::svg(&played.log, &style)).unwrap();
}

#[test]
fn look() {
    show("open", &simultaneous_open::play(&smoltcp, 1));
    show("close", &simultaneous_close::play(&smoltcp, 1).unwrap());
    match window_probes::play(&smoltcp, 1) {
        Ok(probed) => {
            show("probes", &probed.played);
            println!("{:?} {:?} {}", probed.read, probed.expected, probed.intact);
        }
        Err(why) => println!("{why}"),
    }
    let plan = Plan { losses: 1, early_timers: 0, steps: 40, runs: 20_000 };
    let found = simultaneous_open::every(&smoltcp, &plan);
    println!("{found:?}");
    if let Some((choices, why)) = &found.failure {
        show(why, &simultaneous_open::again(&smoltcp, choices));
    }
    println!("{:?}", simultaneous_close::every(&smoltcp, &plan));
}

#[test]
fn look_lwip() {
    let stack = Stack::take();
    let lwip = |wanted: Wanted| -> Box<dyn Host> {
        if wanted.side == Side::A {
            stack.clear();
        }
        Box::new(Lwip::new(&stack, wanted.address))
    };
    show("lwip open", &simultaneous_open::play(&lwip, 1));
    show("lwip close", &simultaneous_close::play(&lwip, 1).unwrap());
    match window_probes::play(&lwip, 1) {
        Ok(probed) => {
            show("lwip probes", &probed.played);
            println!("{:?} {:?} {}", probed.read, probed.expected, probed.intact);
        }
        Err(why) => println!("{why}"),
    }
}
