//! The endpoint in memory, on one core, beside others.
//!
//! `cargo bench -p hairpin-tcp --bench stack [-- throughput connections set-up flood losses]` prints a line of JSON for each
//! figure, behind `bench: `. Pairs run A B A B in one process: absolute figures move with the machine, ratios less.

mod figures;
mod flood;
mod grid;
mod ideal;
mod many;
mod memory;
mod ours;
mod smol;
mod throughput;

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wants = |name: &str| chosen.is_empty() || chosen.iter().any(|arg| arg == name);
    if wants("throughput") {
        throughput::run();
    }
    if wants("connections") {
        many::idle();
    }
    if wants("set-up") {
        many::set_up();
    }
    if wants("flood") {
        flood::run();
    }
    if wants("losses") {
        grid::run();
    }
}
