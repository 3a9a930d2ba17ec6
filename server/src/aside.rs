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
