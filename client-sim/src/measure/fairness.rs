//! Whether devices that were let in together got on equally well.

use super::Episode;
use super::times::float;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Devices that were let in within so many µs of each other were let in together.
const TOGETHER_MICROS: u64 = 1_000_000;
/// Of fewer, nothing can be said.
const FEWEST: usize = 10;

/// Jain's index of the throughputs of devices that were let in within the same second: 1 if all got on equally fast,
/// 1/n if one of n got everything.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fairness {
    /// The mean over the seconds, by how many devices each let in.
    pub mean: f64,
    /// The worst second.
    pub worst: f64,
    /// The seconds that were looked at.
    pub seconds: u64,
}

/// The fairness among the devices of these episodes; none where too few were let in together.
pub(crate) fn fairness(episodes: &[Episode]) -> Option<Fairness> {
    let mut together: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for episode in episodes.iter().filter(|episode| episode.work > 0) {
        let took = episode.caught_up.saturating_sub(episode.let_in).max(1);
        let throughput = float(episode.work) / float(took);
        together.entry(episode.let_in / TOGETHER_MICROS).or_default().push(throughput);
    }
    let of: Vec<(f64, f64)> = together
        .values()
        .filter(|throughputs| throughputs.len() >= FEWEST)
        .map(|throughputs| (jain(throughputs), float(throughputs.len() as u64)))
        .collect();
    let devices: f64 = of.iter().map(|(_, devices)| devices).sum();
    let worst = of.iter().map(|(index, _)| *index).min_by(f64::total_cmp)?;
    let mean = of.iter().map(|(index, devices)| index * devices).sum::<f64>() / devices;
    Some(Fairness { mean, worst, seconds: of.len() as u64 })
}

fn jain(of: &[f64]) -> f64 {
    let (sum, squares) = of.iter().fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
    sum * sum / (float(of.len() as u64) * squares)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn episode(let_in: u64, took: u64) -> Episode {
        Episode { wanted: 0, let_in, caught_up: let_in + took, work: 400 }
    }

    #[test]
    fn equals_are_fair_and_one_who_gets_all_is_not() {
        let equal: Vec<_> = (0..20).map(|n| episode(n, 1000)).collect();
        assert!((fairness(&equal).unwrap().mean - 1.0).abs() < 1e-9);
        let mut one: Vec<_> = (0..20).map(|n| episode(n, 1_000_000)).collect();
        one[0].caught_up = one[0].let_in + 1;
        assert!(fairness(&one).unwrap().worst < 0.06);
    }

    #[test]
    fn only_those_who_were_let_in_together_are_compared() {
        let early = (0..20).map(|n| episode(n, 1000));
        let late = (0..20).map(|n| episode(5_000_000 + n, 90_000));
        let fair = fairness(&early.chain(late).collect::<Vec<_>>()).unwrap();
        assert_eq!(fair.seconds, 2);
        assert!(fair.worst > 0.99);
        assert_eq!(fairness(&[episode(1, 1)]), None);
    }
}
