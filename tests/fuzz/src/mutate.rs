//! New inputs from old ones.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngCore};

/// The longest input that is made, unless a seed is longer.
const BYTES_MAX: usize = 4096;

/// Pieces on which decoders of texts and of numbers turn.
const PIECES: [&[u8]; 34] = [
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b" ",
    b"\n",
    b"0",
    b"-1",
    b"0.5",
    b"1e400",
    b"9007199254740991",
    b"9007199254740992",
    b"18446744073709551615",
    b"null",
    b"true",
    b"{}",
    b"[]",
    b"\"type\":\"a\"",
    b"\"id\":0",
    b"\"time\":0",
    b"\xc3\xa4",
    b"\xff",
    b"\x00",
    b"\x7f",
    b"\x80\x01",
    b"\xff\xff\xff\xff\x7f",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x00\x00\x00\x00\x00\x00\x00\x80",
];

/// One of `seeds`, changed in a few places; now and then bytes at random.
pub(crate) fn input(seeds: &[Vec<u8>], random: &mut StdRng) -> Vec<u8> {
    if random.random_ratio(1, 32) {
        return noise(random, 64);
    }
    let mut input = seeds.choose(random).cloned().unwrap_or_default();
    let longest = input.len().max(BYTES_MAX);
    for _ in 0..1_usize << random.random_range(0..5) {
        change(&mut input, seeds, random);
    }
    input.truncate(longest);
    input
}

fn change(input: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut StdRng) {
    let at = random.random_range(0..=input.len());
    let end = random.random_range(at..=input.len().min(at.saturating_add(64)));
    match random.random_range(0..9) {
        0 | 1 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = random.random();
            }
        }
        2 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.random_range(0..8);
            }
        }
        3 => drop(input.drain(at..end)),
        4 => {
            let again = input.get(at..end).unwrap_or_default().to_vec();
            let copies = random.random_range(1..8);
            drop(input.splice(at..at, again.repeat(copies)));
        }
        5 | 6 => {
            let piece: &[u8] = PIECES.choose(random).copied().unwrap_or_default();
            // In the place of something as often as beside it.
            let end = if random.random() { at } else { end };
            drop(input.splice(at..end, piece.iter().copied()));
        }
        7 => {
            let other = seeds.choose(random).map(Vec::as_slice).unwrap_or_default();
            let from = random.random_range(0..=other.len());
            let to = random.random_range(from..=other.len());
            let part = other.get(from..to).unwrap_or_default();
            drop(input.splice(at..end, part.iter().copied()));
        }
        _ => {
            let noise = noise(random, 8);
            drop(input.splice(at..at, noise));
        }
    }
}

fn noise(random: &mut StdRng, most: usize) -> Vec<u8> {
    let mut noise = vec![0; random.random_range(0..=most)];
    random.fill_bytes(&mut noise);
    noise
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn inputs_differ_and_are_the_same_again_with_the_same_chance() {
        let seeds = [b"one".to_vec(), b"another".to_vec(), Vec::new()];
        let made = || {
            let mut random = StdRng::seed_from_u64(7);
            (0..500).map(|_| input(&seeds, &mut random)).collect::<Vec<_>>()
        };
        let all = made();
        assert_eq!(all, made());
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert!(different.len() > 400, "{}", different.len());
        assert!(all.iter().all(|input| input.len() <= BYTES_MAX));
    }
}
