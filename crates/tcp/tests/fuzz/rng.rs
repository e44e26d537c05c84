//! Choices from a seed: the same seed is the same episode, on every machine.

/// splitmix64.
pub struct Rng(u64);

impl Rng {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    pub fn u32(&mut self) -> u32 {
        self.next() as u32
    }

    /// 0 to `bound - 1`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.index(of.len())]
    }

    /// A length: nothing, one, few, or up to `most`.
    pub fn len(&mut self, most: usize) -> usize {
        match self.below(6) {
            0 => 0,
            1 => 1.min(most),
            2 | 3 => self.index(most.min(16) + 1),
            _ => self.index(most + 1),
        }
    }

    /// How far from a number of interest: on it, beside it, or where signs change.
    pub fn offset(&mut self) -> u32 {
        let far = [1 << 31, (1 << 31) - 1, (1 << 31) + 1, 65_535, 65_536, 1 << 30];
        match self.below(10) {
            0..4 => 0,
            4 => 1,
            5 => 1u32.wrapping_neg(),
            6 => self.below(3_000) as u32,
            7 => (self.below(3_000) as u32).wrapping_neg(),
            8 => self.pick(&far),
            _ => self.u32(),
        }
    }

    /// A number that wraps soon, one way or the other, or any.
    pub fn brink(&mut self) -> u32 {
        match self.below(4) {
            0 => u32::MAX - self.below(4_000) as u32,
            1 => (1u32 << 31).wrapping_sub(self.below(4_000) as u32),
            2 => self.below(3) as u32,
            _ => self.u32(),
        }
    }
}
