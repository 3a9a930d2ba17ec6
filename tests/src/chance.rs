//! Chance that is repeated from its seed.

use std::env;
use std::process;

/// A stream of numbers (`SplitMix64`), the same for the same seed.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// A seed from `TIDELOG_SEED`, or a new one; it is printed, so that a failure tells its own.
    pub fn seeded() -> Self {
        let given = env::var("TIDELOG_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| {
            Self(tidelog_client_sim::now_ms() ^ (u64::from(process::id()) << 32)).next()
        });
        eprintln!("TIDELOG_SEED={seed}");
        Self(seed)
    }

    /// The stream of a seed.
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    #[expect(clippy::should_implement_trait, reason = "it never ends, so it is no iterator")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// How often a test goes round: `variable`, or `few` by default.
    pub fn rounds(variable: &str, few: u64) -> u64 {
        env::var(variable).ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(few)
    }
}
