//! All chance there is: numbers that follow from a seed, the same on every machine and in every version.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Numbers that follow from a seed, and from whom they are for: what one device draws changes nothing for the others.
#[derive(Clone, Debug)]
pub struct Chance(Box<ChaCha8Rng>);

impl Chance {
    /// The numbers of `stream`.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut numbers = ChaCha8Rng::seed_from_u64(seed);
        numbers.set_stream(stream);
        Self(Box::new(numbers))
    }

    /// A number from 0 to 1, without 1.
    pub fn part(&mut self) -> f64 {
        self.0.random()
    }

    /// Whether something happens that happens so often.
    pub fn happens(&mut self, share: f64) -> bool {
        self.part() < share
    }

    /// How long until something happens again that happens every `mean` on average, whenever it last did.
    pub fn gap(&mut self, mean: f64) -> f64 {
        -(1.0 - self.part()).ln() * mean
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u32) -> u32 {
        self.0.random_range(0..end.max(1))
    }
}
