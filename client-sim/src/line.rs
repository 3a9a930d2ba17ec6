//! A TCP connection over a bad line: latency, loss, a slow reader.
//!
//! Loss shows in TCP as time, because what is lost is sent again, and what comes behind it waits. A healthy connection
//! costs a pointer here.

use crate::measure::float;
use crate::plan::{Chance, Network};
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

/// What is on the way in one direction, at most.
const ON_THE_WAY_BYTES: usize = 64 << 10;
/// What a socket is read with.
const READ_BYTES: usize = 4 << 10;
/// After this TCP sends what was lost again, and after twice as long if that is lost, too.
const SENT_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// What is lost so often arrives.
const LOST_AT_MOST: u32 = 5;

/// A TCP connection, maybe over a bad line.
#[derive(Debug)]
pub(crate) struct Line {
    tcp: TcpStream,
    faults: Option<Box<Faults>>,
}

/// What is wrong with a line.
#[derive(Debug)]
pub(crate) struct Faults {
    network: Network,
    /// 0 for as many as there are.
    read_bytes_per_second: u32,
    chance: Chance,
    incoming: OnTheWay,
    outgoing: OnTheWay,
    ended: bool,
    read_next: Instant,
    reading: Pin<Box<Sleep>>,
    writing: Pin<Box<Sleep>>,
}

#[derive(Debug, Default)]
struct OnTheWay {
    /// What arrives when.
    packets: VecDeque<(Instant, Bytes)>,
    bytes: usize,
}

impl OnTheWay {
    /// Nothing overtakes what was sent before it.
    fn push(&mut self, arrives: Instant, packet: Bytes) {
        let before = self.packets.back().map_or(arrives, |(arrives, _)| *arrives);
        self.bytes += packet.len();
        self.packets.push_back((arrives.max(before), packet));
    }

    fn arrives(&self) -> Option<Instant> {
        self.packets.front().map(|(arrives, _)| *arrives)
    }

    /// Takes so many bytes off the first packet.
    fn advance(&mut self, count: usize) {
        let Some((_, packet)) = self.packets.front_mut() else { return };
        packet.advance(count);
        self.bytes -= count;
        if packet.is_empty() {
            self.packets.pop_front();
        }
    }
}

impl Faults {
    /// A line with these faults; none if it has none.
    pub(crate) fn new(
        network: Network,
        read_bytes_per_second: u32,
        chance: Chance,
    ) -> Option<Box<Self>> {
        let Network { latency, jitter, loss, .. } = network;
        if latency <= 0.0 && jitter <= 0.0 && loss <= 0.0 && read_bytes_per_second == 0 {
            return None;
        }
        let now = Instant::now();
        Some(Box::new(Self {
            network,
            read_bytes_per_second,
            chance,
            incoming: OnTheWay::default(),
            outgoing: OnTheWay::default(),
            ended: false,
            read_next: now,
            reading: Box::pin(sleep_until(now)),
            writing: Box::pin(sleep_until(now)),
        }))
    }

    /// What connecting takes.
    pub(crate) fn round_trip(&self) -> Duration {
        Duration::from_secs_f64(self.network.latency.max(0.0) * 2.0 / 1000.0)
    }

    /// How long a packet is on its way.
    fn delay(&mut self) -> Duration {
        let ms = self.network.latency + self.network.jitter * self.chance.part();
        let mut delay = Duration::from_secs_f64(ms.max(0.0) / 1000.0);
        let mut lost = 0;
        while lost < LOST_AT_MOST && self.chance.happens(self.network.loss) {
            delay += SENT_AGAIN_AFTER * (1 << lost);
            lost += 1;
        }
        delay
    }

    /// How much may be on its way in: a slow reader leaves the rest to the server.
    fn window(&self) -> usize {
        if self.read_bytes_per_second == 0 { ON_THE_WAY_BYTES } else { READ_BYTES }
    }

    /// Takes what the socket has.
    fn take_in(&mut self, tcp: &mut TcpStream, cx: &mut Context<'_>) -> io::Result<()> {
        let mut space = [0_u8; READ_BYTES];
        while !self.ended && self.incoming.bytes < self.window() {
            let mut buffer = ReadBuf::new(&mut space);
            match Pin::new(&mut *tcp).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => self.ended = true,
                Poll::Ready(Ok(())) => {
                    let arrives = Instant::now() + self.delay();
                    self.incoming.push(arrives, Bytes::copy_from_slice(buffer.filled()));
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
        }
        Ok(())
    }

    fn read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(arrives) = self.incoming.arrives() else {
            return if self.ended { Poll::Ready(Ok(())) } else { Poll::Pending };
        };
        let due = arrives.max(self.read_next);
        if due > Instant::now() {
            self.reading.as_mut().reset(due);
            ready!(self.reading.as_mut().poll(cx));
        }
        let Some((_, packet)) = self.incoming.packets.front() else { return Poll::Pending };
        let count = packet.len().min(buffer.remaining());
        buffer.put_slice(packet.get(..count).unwrap_or_default());
        self.incoming.advance(count);
        if self.read_bytes_per_second > 0 {
            let takes = float(count as u64) / f64::from(self.read_bytes_per_second);
            self.read_next = Instant::now() + Duration::from_secs_f64(takes);
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what has arrived at the other end of the line.
    fn give_out(&mut self, tcp: &mut TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some((arrives, packet)) = self.outgoing.packets.front() {
            if *arrives > Instant::now() {
                self.writing.as_mut().reset(*arrives);
                ready!(self.writing.as_mut().poll(cx));
            }
            let written = ready!(Pin::new(&mut *tcp).poll_write(cx, packet))?;
            self.outgoing.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl Line {
    pub(crate) fn new(tcp: TcpStream, faults: Option<Box<Faults>>) -> Self {
        Self { tcp, faults }
    }

    /// The TCP stream below.
    pub(crate) fn tcp(&mut self) -> &mut TcpStream {
        &mut self.tcp
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { tcp, faults } = &mut *self;
        match faults {
            None => Pin::new(tcp).poll_read(cx, buffer),
            Some(faults) => {
                faults.take_in(tcp, cx)?;
                faults.read(cx, buffer)
            }
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { tcp, faults } = &mut *self;
        let Some(faults) = faults else { return Pin::new(tcp).poll_write(cx, bytes) };
        if faults.outgoing.bytes >= ON_THE_WAY_BYTES {
            ready!(faults.give_out(tcp, cx))?;
        }
        let arrives = Instant::now() + faults.delay();
        faults.outgoing.push(arrives, Bytes::copy_from_slice(bytes));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { tcp, faults } = &mut *self;
        match faults {
            None => Pin::new(tcp).poll_flush(cx),
            Some(faults) => faults.give_out(tcp, cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// How long bytes take there and back, and what came back.
    async fn echoed(network: Network, rate: u32, bytes: usize) -> (Duration, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let echo = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let (mut from, mut to) = socket.split();
            tokio::io::copy(&mut from, &mut to).await
        });
        let tcp = TcpStream::connect(address).await.unwrap();
        let mut line = Line::new(tcp, Faults::new(network, rate, Chance::new(1, 1)));
        let sent: Vec<u8> = (0..bytes).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let began = Instant::now();
        let (mut reading, mut writing) = tokio::io::split(&mut line);
        let mut received = vec![0; bytes];
        let write = async {
            writing.write_all(&sent).await.unwrap();
            writing.flush().await.unwrap();
        };
        let ((), read) = tokio::join!(write, reading.read_exact(&mut received));
        read.unwrap();
        assert_eq!(received, sent);
        echo.abort();
        (began.elapsed(), received)
    }

    #[tokio::test]
    async fn a_bad_line_takes_its_time_and_changes_nothing() {
        let network = Network { latency: 40.0, jitter: 20.0, loss: 0.2, ..Network::default() };
        let (took, _) = echoed(network, 0, 100_000).await;
        assert!(took >= Duration::from_millis(80), "{took:?}");
    }

    #[tokio::test]
    async fn a_slow_reader_reads_at_its_pace() {
        let (took, _) = echoed(Network::default(), 100_000, 40_000).await;
        assert!(took >= Duration::from_millis(300), "{took:?}");
    }

    #[test]
    fn a_line_without_faults_costs_a_pointer() {
        assert!(Faults::new(Network::default(), 0, Chance::new(1, 1)).is_none());
    }
}
