//! Sequence arithmetic (RFC 9293 3.4): what may be asked of numbers on a circle.

pub use wire::SeqNumber;

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, slowly: walk forward from `a`, at most half of a small circle.
    fn before_on_circle(a: u32, b: u32, circle: u32) -> bool {
        (1..circle / 2).any(|step| (a + step) % circle == b)
    }

    // covers: N1
    #[test]
    fn before_agrees_with_walking_round_the_circle() {
        const CIRCLE: u32 = 256;
        const SCALE: u32 = 1 << 24;
        for a in 0..CIRCLE {
            for b in 0..CIRCLE {
                let (x, y) = (SeqNumber(a * SCALE), SeqNumber(b * SCALE));
                assert_eq!(x.before(y), before_on_circle(a, b, CIRCLE), "{a} {b}");
                assert_eq!(y.after(x), x.before(y));
            }
        }
    }

    // covers: N1
    #[test]
    fn the_edges_at_half_and_at_the_whole_circle() {
        for start in [0, 1, u32::MAX, 1 << 31, (1 << 31) - 1] {
            let a = SeqNumber(start);
            assert!(!a.before(a) && !a.after(a));
            assert!(a.before(a.plus(1)) && a.after(a.minus(1)));
            assert!(a.before(a.plus((1 << 31) - 1)));
            assert!(!a.before(a.plus(1 << 31)) && !a.after(a.plus(1 << 31)), "half a circle is neither");
            assert!(a.after(a.plus((1 << 31) + 1)));
            assert!(a.in_window(a, 1) && !a.in_window(a, 0) && !a.plus(1).in_window(a, 1));
            assert!(!a.minus(1).in_window(a, u32::MAX) && a.minus(2).in_window(a, u32::MAX));
        }
    }
}
