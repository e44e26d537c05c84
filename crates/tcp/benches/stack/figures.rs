//! Lines for `cargo xtask bench`.

use serde_json::{Value, json};

/// The middle of an odd number of values, and the two ends.
pub(crate) fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let last = values.len() - 1;
    (values[0], values[last / 2], values[last])
}

/// A figure without a peer.
pub(crate) fn alone(
    name: &str,
    unit: &str,
    values: Vec<f64>,
    target: Option<f64>,
    at_most: bool,
    note: &str,
) {
    let (min, median, max) = spread(values);
    print(json!({
        "group": "endpoint", "name": name, "unit": unit, "ours": median, "ours_min": min, "ours_max": max,
        "target": target, "at_most": at_most, "note": note,
    }));
}

/// Pairs of rounds: ours, and the peer's right after it.
pub(crate) fn beside(name: &str, unit: &str, pairs: &[(f64, f64)], target: Option<f64>, note: &str) {
    let (_, ours, _) = spread(pairs.iter().map(|pair| pair.0).collect());
    let (_, peer, _) = spread(pairs.iter().map(|pair| pair.1).collect());
    let (min, median, max) = spread(pairs.iter().map(|pair| pair.0 / pair.1).collect());
    print(json!({
        "group": "endpoint", "name": name, "unit": unit, "ours": ours, "peer": peer,
        "ratio_min": min, "ratio_median": median, "ratio_max": max, "target": target, "note": note,
    }));
}

fn print(figure: Value) {
    println!("bench: {figure}");
}
