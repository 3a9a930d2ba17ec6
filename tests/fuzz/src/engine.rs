//! Who feeds a target.

use crate::mutate;
use bolero::bolero_engine::driver::Options;
use bolero::bolero_engine::input::Bytes;
use bolero::bolero_engine::{BorrowedSliceTest, panic};
use bolero::{BorrowedInput, ByteSliceGenerator, DefaultEngine, Test, TestTarget};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::panic::RefUnwindSafe;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, fs};

/// libFuzzer is told by this what to do, and is not linked without it.
const LIBFUZZER: &str = "BOLERO_LIBFUZZER_ARGS";
/// Goes on for so many seconds, instead of a fixed number of inputs.
const SECONDS: &str = "TIDELOG_FUZZ_SECONDS";
/// Another sequence of inputs than that of every test run.
const CHANCE: &str = "TIDELOG_FUZZ_CHANCE";
/// The seeds are written into this directory, for libFuzzer, and nothing runs.
const SEEDS: &str = "TIDELOG_FUZZ_SEEDS";

/// What [`bolero::check!`] makes.
pub type Target = TestTarget<ByteSliceGenerator, DefaultEngine, BorrowedInput>;

/// What a target is fed in a test run.
#[derive(Clone, Debug)]
pub struct Feed {
    seeds: Vec<Vec<u8>>,
    inputs: usize,
}

impl Feed {
    /// `seeds`, and 2,000 inputs made from them.
    pub fn of<S: AsRef<[u8]>>(seeds: impl IntoIterator<Item = S>) -> Self {
        let seeds = seeds.into_iter().map(|seed| seed.as_ref().to_vec()).collect();
        Self { seeds, inputs: 2_000 }
    }

    /// Another number of inputs, for a target that takes longer.
    #[must_use]
    pub fn inputs(self, inputs: usize) -> Self {
        Self { inputs, ..self }
    }
}

/// Feeds `check`, which panics when it finds something.
pub fn run<F: Fn(&[u8]) + RefUnwindSafe>(target: Target, feed: &Feed, check: F) {
    if let Some(directory) = env::var_os(SEEDS) {
        save(Path::new(&directory), &feed.seeds);
    } else if env::var_os(LIBFUZZER).is_some() {
        target.for_each(check);
    } else {
        Fixed(feed).run(BorrowedSliceTest::new(check), &Options::default());
    }
}

fn save(directory: &Path, seeds: &[Vec<u8>]) {
    let saved = fs::create_dir_all(directory).and_then(|()| {
        let mut numbered = seeds.iter().enumerate();
        numbered.try_for_each(|(n, seed)| fs::write(directory.join(format!("seed-{n}")), seed))
    });
    saved.unwrap_or_else(|error| panic!("cannot write to {}: {error}", directory.display()));
}

/// The engine of test runs. Bolero's own draws its chance from the system, so that a test would pass
/// today and fail tomorrow; and what it shortens of bytes is not what it shows.
struct Fixed<'a>(&'a Feed);

impl Fixed<'_> {
    fn run<T: Test>(&self, mut test: T, options: &Options) {
        let mut feed = |input: &[u8]| test.test(&mut Bytes::new(input, options)).err();
        panic::set_hook();
        let loud = panic::forward_panic(false);
        let found = self.first_failure(&mut feed).map(|input| {
            let input = shortened(input, |input| feed(input).is_some());
            let error = feed(&input).map(|error| error.to_string()).unwrap_or_default();
            format!("{error}\nwith b\"{}\"", input.escape_ascii())
        });
        panic::forward_panic(loud);
        if let Some(found) = found {
            std::panic!("{found}");
        }
    }

    fn first_failure<E>(&self, feed: &mut impl FnMut(&[u8]) -> Option<E>) -> Option<Vec<u8>> {
        let Feed { seeds, inputs } = self.0;
        let mut random = StdRng::seed_from_u64(number(CHANCE).unwrap_or_default());
        let made = std::iter::repeat_with(|| mutate::input(seeds, &mut random));
        let all = seeds.iter().cloned().chain(made);
        let mut fails = |input: &Vec<u8>| feed(input).is_some();
        let Some(seconds) = number(SECONDS) else {
            return all.take(seeds.len() + inputs).find(fails);
        };
        let (began, mut count) = (now(), 0_u64);
        let is_over = || began.elapsed() >= Duration::from_secs(seconds);
        let found = all.take_while(|_| !is_over()).inspect(|_| count += 1).find(|it| fails(it));
        eprintln!("{count} inputs in {seconds} s");
        found
    }
}

/// What is left of an input when every piece is gone that it fails without.
fn shortened(mut input: Vec<u8>, mut fails: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut piece = input.len() / 2;
    while piece > 0 {
        let mut at = 0;
        while at < input.len() {
            let end = input.len().min(at + piece);
            let mut without = input.clone();
            without.drain(at..end);
            if fails(&without) {
                input = without;
            } else {
                at = end;
            }
        }
        piece /= 2;
    }
    input
}

#[expect(clippy::disallowed_methods, reason = "how long to go on is asked for in seconds")]
fn now() -> Instant {
    Instant::now()
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, and not {text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;
    use std::sync::Mutex;

    /// What a run of `inputs` inputs was fed.
    fn fed(inputs: usize) -> Vec<Vec<u8>> {
        let seen = Mutex::new(Vec::new());
        let feed = Feed::of([&b"one"[..], b"two"]).inputs(inputs);
        Fixed(&feed).run(
            BorrowedSliceTest::new(|input: &[u8]| seen.lock().unwrap().push(input.to_vec())),
            &Options::default(),
        );
        seen.into_inner().unwrap()
    }

    #[test]
    fn a_run_is_fed_its_seeds_and_the_same_inputs_each_time() {
        let first = fed(100);
        assert_eq!(first[..2], [b"one", b"two"]);
        assert_eq!(first.len(), 102);
        assert_eq!(first, fed(100));
        assert_eq!(first, fed(200)[..102], "a longer run goes on where a shorter one ends");
    }

    #[test]
    fn what_is_found_is_told_with_a_short_input() {
        let feed = Feed::of(["a long seed with a word in it"]);
        let found = catch_unwind(|| {
            let check = |input: &[u8]| assert!(!input.contains(&b'w'), "a w");
            Fixed(&feed).run(BorrowedSliceTest::new(check), &Options::default());
        });
        let told = *found.unwrap_err().downcast::<String>().unwrap();
        assert!(told.contains("a w") && told.ends_with("with b\"w\""), "{told}");
    }
}
