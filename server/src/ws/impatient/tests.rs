//! Peers that take what they are sent, and peers that do not; time is paused.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(70);

/// A socket that holds ten bytes, and its peer.
fn pair() -> (Impatient<DuplexStream>, DuplexStream) {
    let (socket, peer) = tokio::io::duplex(10);
    (Impatient::new(socket, PATIENCE), peer)
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_given_up_after_patience_and_not_before() {
    let (mut socket, _peer) = pair();
    let start = Instant::now();
    let error = socket.write_all(&[0; 100]).await.unwrap_err();
    assert_eq!((error.kind(), start.elapsed().as_secs()), (io::ErrorKind::TimedOut, 70));
}

#[tokio::test(start_paused = true)]
async fn a_slow_peer_is_waited_for_as_long_as_it_takes_something() {
    let (mut socket, mut peer) = pair();
    let reading = async {
        for _ in 0..100 {
            sleep(Duration::from_secs(60)).await;
            peer.read_u8().await.unwrap();
        }
    };
    tokio::select! {
        written = socket.write_all(&[0; 100]) => written.unwrap(),
        () = reading => panic!("all was read, and is not yet written"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_quiet_peer_that_has_taken_everything_is_not_given_up() {
    let (mut socket, mut peer) = pair();
    socket.write_all(&[1; 5]).await.unwrap();
    socket.flush().await.unwrap();
    sleep(PATIENCE * 10).await;
    peer.write_all(&[2; 5]).await.unwrap();
    socket.read_exact(&mut [0; 5]).await.unwrap();
    socket.write_all(&[1; 5]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_flush_with_nothing_to_do_is_no_progress() {
    let (mut socket, _peer) = pair();
    let start = Instant::now();
    let error = loop {
        let written = timeout(Duration::from_secs(10), socket.write_all(&[0; 100])).await;
        match written {
            Ok(written) => break written.unwrap_err(),
            Err(_) => socket.flush().await.unwrap(),
        }
        assert!(start.elapsed() < PATIENCE * 3);
    };
    assert_eq!((error.kind(), start.elapsed().as_secs()), (io::ErrorKind::TimedOut, 70));
}

#[tokio::test(start_paused = true)]
async fn what_is_written_from_many_places_is_waited_for_like_the_rest() {
    let (mut socket, _peer) = pair();
    let start = Instant::now();
    let slices = [io::IoSlice::new(&[1; 10]), io::IoSlice::new(&[2; 10])];
    assert_eq!(socket.write_vectored(&slices).await.unwrap(), 10);
    let error = timeout(PATIENCE * 3, socket.write_vectored(&slices)).await.unwrap().unwrap_err();
    assert_eq!((error.kind(), start.elapsed().as_secs()), (io::ErrorKind::TimedOut, 70));
}

/// A socket that never gets rid of anything.
struct Stuck;

impl AsyncWrite for Stuck {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_flush_and_a_goodbye_are_waited_for_no_longer_either() {
    let start = Instant::now();
    let flushed = timeout(PATIENCE * 3, Impatient::new(Stuck, PATIENCE).flush()).await.unwrap();
    assert_eq!(flushed.unwrap_err().kind(), io::ErrorKind::TimedOut);
    let shut = timeout(PATIENCE * 3, Impatient::new(Stuck, PATIENCE).shutdown()).await.unwrap();
    assert_eq!(shut.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(start.elapsed().as_secs(), 140);
}
