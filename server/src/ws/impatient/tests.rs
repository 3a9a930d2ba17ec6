//! Peers that take what they are sent, and peers that do not; time is paused.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep};

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
    let (written, ()) = tokio::join!(socket.write_all(&[0; 100]), reading);
    written.unwrap();
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
