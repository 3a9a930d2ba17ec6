//! The timer of one HTTP/1.1 connection. The library asks for another wait with each request, which is over when the next
//! one comes, nearly always long before its time. So one wait is set for all of them, and set on when it was too early.

use hyper::rt::{Sleep, Timer};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

type Shared = Arc<Mutex<Option<Pin<Box<tokio::time::Sleep>>>>>;

/// The timer.
#[derive(Clone, Default)]
pub(super) struct LazyTimer(Shared);

struct Wait {
    deadline: Instant,
    shared: Shared,
}

impl Timer for LazyTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn Sleep>> {
        self.until(deadline.into())
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into()
    }
}

impl LazyTimer {
    fn until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Wait { deadline, shared: Arc::clone(&self.0) })
    }
}

impl Sleep for Wait {}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let set = || Box::pin(tokio::time::sleep_until(self.deadline));
        let sleep = shared.get_or_insert_with(set);
        if sleep.deadline() > self.deadline {
            sleep.as_mut().reset(self.deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= self.deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(self.deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test(start_paused = true)]
    async fn each_wait_ends_at_its_own_time_whichever_was_set_before() {
        let timer = LazyTimer::default();
        let began = Instant::now();
        let seconds = |seconds| Duration::from_secs(seconds);
        let mut dropped = timer.sleep(seconds(10));
        assert!(dropped.as_mut().now_or_never().is_none());
        drop(dropped);
        tokio::time::advance(seconds(5)).await;
        timer.sleep(seconds(10)).await;
        assert_eq!(began.elapsed().as_secs(), 15, "later than the one that was given up");
        assert!(timer.sleep(seconds(10)).as_mut().now_or_never().is_none());
        timer.sleep(seconds(2)).await;
        assert_eq!(began.elapsed().as_secs(), 17, "earlier than the one that was given up");
        timer.sleep_until((began + seconds(3)).into()).await;
        assert_eq!(began.elapsed().as_secs(), 17, "in the past");
    }
}
