//! Making a backup: of a store that is open here, and in a running server for a command.

use super::About;
use super::container::Writer;
use crate::app::App;
use crate::clock;
use crate::log::Snapshot;
use anyhow::Context;
use std::io::{self, BufWriter, ErrorKind, Write};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

/// Pieces on their way to the command.
const PIECES_MAX: usize = 4;
const PIECE_BYTES: usize = 1 << 18;

/// What is written of a snapshot, first.
fn about(snapshot: &Snapshot) -> About {
    About {
        identity: snapshot.identity().to_vec(),
        head: snapshot.head().get(),
        made_ms: clock::now_ms(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Writes a snapshot to `out`. Blocks.
pub(super) fn write<W: Write>(snapshot: Snapshot, out: W) -> anyhow::Result<W> {
    let mut writer = Writer::new(out, &about(&snapshot))?;
    match snapshot.each(&mut |item| writer.put(&item)) {
        Ok(()) => Ok(writer.finish()?),
        Err(error) => {
            // Who reads it is told why it ends; a reader that has gone needs no words.
            drop(writer.fail(&error.to_string()));
            Err(error.into())
        }
    }
}

/// Sends the store of a running server to a command.
pub(crate) async fn send(app: &App, to: &mut (impl AsyncWrite + Unpin)) -> anyhow::Result<()> {
    let (pieces, mut sent) = mpsc::channel(PIECES_MAX);
    let log = app.log.clone();
    let work = tokio::task::spawn_blocking(move || {
        let out = BufWriter::with_capacity(PIECE_BYTES, Pieces(pieces));
        write(log.snapshot()?, out).map(drop)
    });
    let mut any = false;
    while let Some(piece) = sent.recv().await {
        let piece: Vec<u8> = piece;
        any = true;
        to.write_all(&piece).await.context("the command has gone")?;
    }
    match work.await? {
        Ok(()) => {
            tracing::info!("a backup was made");
            Ok(())
        }
        // Who has had a part was told in it.
        Err(error) if any => {
            tracing::warn!(%error, "a backup was not finished");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Hands over what is written; waits for whoever takes it.
struct Pieces(mpsc::Sender<Vec<u8>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let gone = |_| io::Error::new(ErrorKind::BrokenPipe, "the command has gone");
        self.0.blocking_send(bytes.to_vec()).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
