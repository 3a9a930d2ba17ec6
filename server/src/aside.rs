//! Work that takes a while, where others wait for the thread that does it.

use std::panic::resume_unwind;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::spawn_blocking;

/// To read more than this takes longer than others should wait.
const LARGE_BYTES: usize = 256 << 10;

/// Does `work` on `bytes` of what somebody sent. When that is much, another thread serves the
/// connections of this one meanwhile.
pub(crate) fn aside<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    let many = Handle::try_current()
        .is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
    if many && bytes > LARGE_BYTES { tokio::task::block_in_place(work) } else { work() }
}

/// Does `work` that waits for the disk, on a thread of its own. A panic in it is the caller's.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    // Nobody cancels it, so a panic is all that can have come between.
    spawn_blocking(work).await.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;
    use tokio::runtime::Builder;

    /// Whether another task of the only thread runs while work on `bytes` waits for it, for `patience`.
    fn others_run(bytes: usize, patience: Duration) -> bool {
        let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let task = runtime.spawn(async move {
            let (done, waited_for) = mpsc::sync_channel(1);
            tokio::spawn(async move { done.send(()) });
            aside(bytes, || waited_for.recv_timeout(patience).is_ok())
        });
        runtime.block_on(task).unwrap()
    }

    #[test]
    fn work_on_much_leaves_the_thread_to_others_and_work_on_little_does_not() {
        assert!(others_run(LARGE_BYTES + 1, Duration::from_secs(30)));
        assert!(!others_run(LARGE_BYTES, Duration::from_millis(20)));
    }

    #[test]
    fn where_there_is_no_other_thread_work_is_done_all_the_same() {
        assert_eq!(aside(LARGE_BYTES + 1, || 7), 7);
        let runtime = Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(async { aside(LARGE_BYTES + 1, || 7) }), 7);
    }

    #[tokio::test]
    #[should_panic(expected = "of the work")]
    async fn a_panic_on_the_other_thread_is_the_callers() {
        blocking(|| panic!("of the work")).await;
    }
}
