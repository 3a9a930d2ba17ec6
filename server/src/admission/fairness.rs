//! Whether those who caught up lately were served alike: Jain's index over what each got in a second.

use std::collections::VecDeque;

/// So many who caught up last.
const MOST: usize = 512;

/// What those who caught up last got in a second.
#[derive(Debug, Default)]
pub(super) struct Fairness(VecDeque<f64>);

impl Fairness {
    /// Somebody caught up who got `entries` within `seconds`.
    #[expect(clippy::cast_precision_loss, reason = "an index is no ledger")]
    pub(super) fn add(&mut self, entries: u64, seconds: f64) {
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(entries as f64 / seconds.max(0.001));
    }

    /// 1 when all got the same, 1/n when one of n got everything; 1 when there is nobody to compare.
    #[expect(clippy::cast_precision_loss, reason = "an index is no ledger")]
    pub(super) fn index(&self) -> f64 {
        let (sum, squares) =
            self.0.iter().fold((0.0, 0.0), |(sum, squares), it| (sum + it, squares + it * it));
        if squares > 0.0 { sum * sum / (self.0.len() as f64 * squares) } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(rates: &[(u64, f64)]) -> f64 {
        let mut fairness = Fairness::default();
        for (entries, seconds) in rates {
            fairness.add(*entries, *seconds);
        }
        fairness.index()
    }

    #[test]
    fn it_is_one_for_all_alike_and_a_part_when_one_has_everything() {
        assert!((index(&[]) - 1.0).abs() < 1e-9);
        assert!((index(&[(200, 2.0), (100, 1.0), (50, 0.5)]) - 1.0).abs() < 1e-9);
        assert!((index(&[(1000, 1.0), (0, 1.0), (0, 1.0), (0, 1.0)]) - 0.25).abs() < 1e-9);
        assert!((index(&[(0, 1.0), (0, 0.0)]) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn only_the_last_count() {
        let mut fairness = Fairness::default();
        (0..MOST).for_each(|n| fairness.add(n as u64, 1.0));
        assert!(fairness.index() < 0.9);
        (0..MOST).for_each(|_| fairness.add(1, 1.0));
        assert!((fairness.index() - 1.0).abs() < 1e-9);
    }
}
