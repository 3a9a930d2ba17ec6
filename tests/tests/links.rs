//! The link between an edge and its cloud: cut anywhere, narrow, and without WebSockets.

use anyhow::ensure;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tidelog_tests::Options;
use tidelog_tests::replicas::{Shore, command, field, likes, push, push_long};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// Stands between an edge and its cloud. Each connection is cut after so many bytes, both ways together,
/// and each gets a few more than the one before.
async fn narrow(cloud: SocketAddr, more: usize) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let mut bytes = 0;
        while let Ok((near, _)) = listener.accept().await {
            bytes += more;
            tokio::spawn(pass(near, cloud, bytes));
        }
    });
    Ok(address)
}

async fn pass(mut near: TcpStream, cloud: SocketAddr, mut left: usize) -> std::io::Result<()> {
    let mut far = TcpStream::connect(cloud).await?;
    let (mut up, mut down) = ([0; 512], [0; 512]);
    while left > 0 {
        let (most_up, most_down) = (left.min(up.len()), left.min(down.len()));
        let read = tokio::select! {
            read = near.read(up.get_mut(..most_up).unwrap_or_default()) => {
                let read = read?;
                far.write_all(up.get(..read).unwrap_or_default()).await?;
                read
            }
            read = far.read(down.get_mut(..most_down).unwrap_or_default()) => {
                let read = read?;
                near.write_all(down.get(..read).unwrap_or_default()).await?;
                read
            }
        };
        if read == 0 {
            break;
        }
        left -= read;
    }
    Ok(())
}

/// Stands between an edge and its cloud, and knows nothing of WebSockets. Counts what it carries.
async fn plain(cloud: SocketAddr, carried: Arc<AtomicUsize>) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            tokio::spawn(carry(near, cloud, Arc::clone(&carried)));
        }
    });
    Ok(address)
}

async fn carry(
    mut near: TcpStream,
    cloud: SocketAddr,
    carried: Arc<AtomicUsize>,
) -> std::io::Result<()> {
    let mut far = TcpStream::connect(cloud).await?;
    let (mut up, mut down) = ([0; 4096], [0; 4096]);
    loop {
        let read = tokio::select! {
            read = near.read(&mut up) => {
                let bytes = up.get(..read?).unwrap_or_default();
                if bytes.to_ascii_lowercase().windows(9).any(|it| it == b"websocket") {
                    let no = b"HTTP/1.1 501 Not Implemented\r\ncontent-length: 0\r\n\r\n";
                    return near.write_all(no).await;
                }
                far.write_all(bytes).await?;
                bytes.len()
            }
            read = far.read(&mut down) => {
                let bytes = down.get(..read?).unwrap_or_default();
                near.write_all(bytes).await?;
                bytes.len()
            }
        };
        if read == 0 {
            return Ok(());
        }
        carried.fetch_add(read, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_link_that_is_cut_wherever_it_can_be_loses_and_doubles_nothing() -> anyhow::Result<()> {
    let shore = Shore::open(&[]).await?;
    let narrow = narrow(shore.cloud.address(), 101).await?;
    let pair = shore.edge(narrow, Options::default()).await?;
    push(&pair.cloud, "ann", 1, 20).await?;
    push(&pair.edge, "ann", 100, 20).await?;
    pair.until_agreed(40).await?;
    for server in [&pair.cloud, &pair.edge] {
        ensure!(likes(server, "ann").await? == Some(40));
    }
    Ok(())
}

#[tokio::test]
async fn where_there_are_no_websockets_the_link_is_requests() -> anyhow::Result<()> {
    let shore = Shore::open(&[]).await?;
    let plain = plain(shore.cloud.address(), Arc::default()).await?;
    let pair = shore.edge(plain, Options::default()).await?;
    push(&pair.cloud, "ann", 1, 20).await?;
    push(&pair.edge, "ann", 100, 20).await?;
    pair.until_agreed(40).await?;
    let status = command(&pair.edge, &["status"]).await?;
    ensure!(field(&status, "linked") == true && field(&status, "socket") == false, "{status}");
    Ok(())
}

#[tokio::test]
async fn where_there_are_websockets_the_link_is_one_and_its_end_is_noticed_at_once()
-> anyhow::Result<()> {
    let shore = Shore::open(&[]).await?;
    let address = shore.cloud.address();
    let mut pair = shore.edge(address, Options::default()).await?;
    push(&pair.edge, "ann", 1, 1).await?;
    pair.until_agreed(1).await?;
    let status = command(&pair.edge, &["status"]).await?;
    ensure!(field(&status, "socket") == true, "{status}");
    let status = command(&pair.cloud, &["status"]).await?;
    ensure!(field(&status, "linked") == true, "{status}");
    pair.edge.kill().await?;
    pair.cloud.until_traced("the link of a replica is down", 0).await?;
    let status = command(&pair.cloud, &["status"]).await?;
    ensure!(field(&status, "linked") == false, "{status}");
    Ok(())
}

/// On a loaded machine it takes longer, and never less.
async fn takes_its_time(flags: &[&str], config: &str) -> anyhow::Result<()> {
    const RATE: usize = 48 << 10;
    let shore = Shore::open(flags).await?;
    // Both sides have much to say before they meet.
    push_long(&shore.cloud, "ann", 1, 300).await?;
    let carried = Arc::<AtomicUsize>::default();
    let line = plain(shore.cloud.address(), Arc::clone(&carried)).await?;
    let since = Instant::now();
    let options = Options { config: config.to_owned(), ..Options::default() };
    let pair = shore.edge(line, options).await?;
    push_long(&pair.edge, "bob", 1, 300).await?;
    pair.until_agreed(600).await?;
    let (took, carried) = (since.elapsed(), carried.load(Ordering::Relaxed));
    ensure!(carried > 4 * RATE, "{carried} bytes are no load");
    // What was said last is not waited for, one batch each way.
    let at_least = Duration::from_millis((carried * 500 / RATE).saturating_sub(1_000) as u64);
    ensure!(took >= at_least, "{carried} bytes in {took:?}");
    Ok(())
}

#[tokio::test]
async fn a_link_takes_no_more_than_its_bandwidth() -> anyhow::Result<()> {
    takes_its_time(&[], "[upstream]\nbandwidth = \"48KiB\"\n").await
}

#[tokio::test]
async fn a_link_takes_no_more_than_the_cloud_allows() -> anyhow::Result<()> {
    takes_its_time(&["--bandwidth", "48KiB", "--weight", "3"], "").await
}
