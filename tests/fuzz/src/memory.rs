//! A bound on what a piece of work may have in memory.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Does `work`; panics if it had more than `bytes` allocated at one moment, its result included. What
/// other threads allocate does not count.
///
/// Growing a buffer counts as having both, the old one and the new.
pub fn within<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    let mut result = None;
    let measured = allocation_counter::measure(|| {
        // Measurements nest; one that a panic leaves would stay open.
        result = Some(catch_unwind(AssertUnwindSafe(work)));
    });
    let result = result.expect("`measure` calls what it is given");
    let value = result.unwrap_or_else(|panic| resume_unwind(panic));
    let most = measured.bytes_max;
    assert!(most <= bytes as u64, "{most} bytes were allocated at once, and {bytes} may be");
    value
}

/// Does `work`; says how many bytes of what it allocated are left, which is what its result holds.
pub fn held<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let mut result = None;
    let measured = allocation_counter::measure(|| result = Some(work()));
    let left = u64::try_from(measured.bytes_current).unwrap_or_default();
    (result.expect("`measure` calls what it is given"), left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_freed_before_does_not_count_and_what_is_returned_does() {
        within(1000, || (0..10_u8).for_each(|n| drop(std::hint::black_box(vec![n; 1000]))));
        assert_eq!(within(1000, || vec![0_u8; 1000]).len(), 1000);
        let over = catch_unwind(|| within(999, || vec![0_u8; 1000]));
        assert!(over.is_err());
        let inner = catch_unwind(|| within(0, || panic!("on purpose")));
        assert_eq!(inner.unwrap_err().downcast_ref(), Some(&"on purpose"));
        within(0, || ());
    }

    #[test]
    fn what_a_result_holds_is_what_is_left() {
        let (kept, bytes) = held(|| vec![0_u8; std::hint::black_box(vec![7_u8; 1000]).len() / 2]);
        assert_eq!((kept.len(), bytes), (500, 500));
    }
}
