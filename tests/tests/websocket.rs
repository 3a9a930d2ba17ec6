//! RFC 6455, byte by byte: what a conforming peer may send is understood, and what it may not ends the
//! connection with the close code that the RFC gives it. `./check autobahn` runs the cases of Autobahn's
//! suite beside these.

use anyhow::{Context, ensure};
use tidelog_tests::{Server, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;
/// The last frame of a message.
const FIN: u8 = 0x80;

const NORMAL: u16 = 1000;
const PROTOCOL_ERROR: u16 = 1002;
const INVALID_DATA: u16 = 1007;

const CONNECT: &str = r#"["connect",5,"ann:c:t",0,{"token":"x"}]"#;

/// A WebSocket whose frames are made by hand.
struct Raw {
    stream: TcpStream,
}

/// Whether a frame is masked, as those of a client have to be.
#[derive(Clone, Copy)]
enum Masked {
    Yes,
    No,
}

/// The first byte of a frame, its payload, and whether that is masked.
type Part<'a> = (u8, &'a [u8], Masked);

impl Raw {
    async fn open(server: &Server) -> anyhow::Result<Self> {
        let mut raw = Self { stream: TcpStream::connect(server.address()).await? };
        let answer = raw
            .upgrade("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n")
            .await?;
        ensure!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        // The example of section 1.3.
        ensure!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
        Ok(raw)
    }

    async fn upgrade(&mut self, headers: &str) -> anyhow::Result<String> {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: tidelog\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{headers}\r\n"
        );
        self.stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within("the answer to an upgrade", self.stream.read_u8()).await??);
        }
        Ok(String::from_utf8(head)?)
    }

    async fn signed_in(server: &Server) -> anyhow::Result<Self> {
        let mut raw = Self::open(server).await?;
        raw.send(FIN | TEXT, CONNECT.as_bytes()).await?;
        raw.hears("[\"connected\"").await?;
        Ok(raw)
    }

    /// A masked frame.
    async fn send(&mut self, first: u8, payload: &[u8]) -> anyhow::Result<()> {
        self.send_as(first, payload, Masked::Yes).await
    }

    async fn send_as(&mut self, first: u8, payload: &[u8], masked: Masked) -> anyhow::Result<()> {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let bit = if matches!(masked, Masked::Yes) { 0x80 } else { 0 };
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..=125 => frame.push(bit | u8::try_from(length)?),
            length @ 126..=0xffff => {
                frame.push(bit + 126);
                frame.extend(u16::try_from(length)?.to_be_bytes());
            }
            length => {
                frame.push(bit + 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        if matches!(masked, Masked::Yes) {
            frame.extend(mask);
            frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        } else {
            frame.extend(payload);
        }
        // A server that has closed already does not read it.
        drop(self.stream.write_all(&frame).await);
        Ok(())
    }

    /// The next frame; none when the connection is over.
    async fn next(&mut self) -> anyhow::Result<Option<(u8, Vec<u8>)>> {
        let reading = async {
            let Ok(first) = self.stream.read_u8().await else { return Ok(None) };
            let length = match self.stream.read_u8().await? {
                126 => usize::from(self.stream.read_u16().await?),
                127 => usize::try_from(self.stream.read_u64().await?)?,
                // A server does not mask: that would be the highest bit.
                length => usize::from(length),
            };
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload).await?;
            anyhow::Ok(Some((first, payload)))
        };
        within("a frame", reading).await?
    }

    /// Reads up to the text that begins like this.
    async fn hears(&mut self, start: &str) -> anyhow::Result<()> {
        loop {
            let (first, payload) =
                self.next().await?.with_context(|| format!("closed before {start}"))?;
            if first == FIN | TEXT && payload.starts_with(start.as_bytes()) {
                return Ok(());
            }
        }
    }

    /// The connection is of use still: the server answers a `ping` of the protocol.
    async fn lives(&mut self) -> anyhow::Result<()> {
        self.send(FIN | TEXT, br#"["ping",1]"#).await?;
        self.hears("[\"pong\"").await
    }

    /// Reads to the end; the close code, if the server said goodbye.
    async fn close_code(&mut self) -> anyhow::Result<Option<u16>> {
        let mut code = None;
        while let Some((first, payload)) = self.next().await? {
            if first == FIN | CLOSE {
                ensure!(code.is_none(), "two goodbyes");
                code = Some(match payload[..] {
                    [] => 1005,
                    [high, low, ..] => u16::from_be_bytes([high, low]),
                    [_] => anyhow::bail!("half a close code"),
                });
            }
        }
        Ok(code)
    }

    async fn closes_with(&mut self, code: u16, why: &str) -> anyhow::Result<()> {
        let closed = self.close_code().await?;
        ensure!(closed == Some(code), "{why}: {closed:?} instead of {code}");
        Ok(())
    }
}

#[tokio::test]
async fn a_message_may_come_in_pieces_with_pings_between_them() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let mut raw = Raw::open(&server).await?;
    let (last, pieces) = CONNECT.as_bytes().split_last().context("a message")?;
    for (n, piece) in pieces.iter().enumerate() {
        raw.send(if n == 0 { TEXT } else { CONTINUATION }, &[*piece]).await?;
        raw.send(FIN | PING, &[*piece]).await?;
        ensure!(raw.next().await? == Some((FIN | PONG, vec![*piece])), "piece {n}");
    }
    // Empty pieces, and pongs that nobody asked for, say nothing.
    raw.send(CONTINUATION, b"").await?;
    raw.send(FIN | PONG, b"unasked").await?;
    raw.send(FIN, &[*last]).await?;
    raw.hears("[\"connected\"").await?;
    raw.lives().await
}

#[tokio::test]
async fn a_ping_is_answered_with_what_it_said() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let mut raw = Raw::signed_in(&server).await?;
    for payload in [&b""[..], b"\x00\xff\xfe", &[0x61; 125]] {
        raw.send(FIN | PING, payload).await?;
        ensure!(raw.next().await? == Some((FIN | PONG, payload.to_vec())), "{payload:?}");
    }
    for n in 0..100_u8 {
        raw.send(FIN | PING, &[n]).await?;
    }
    raw.lives().await
}

#[tokio::test]
async fn every_length_is_read_in_the_form_that_it_has() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let mut raw = Raw::signed_in(&server).await?;
    for length in [125, 126, 127, 128, 65_535, 65_536, 70_000] {
        // Blanks between JSON tokens count as bytes and mean nothing.
        let text = format!("[\"ping\",{}1]", " ".repeat(length - 10));
        ensure!(text.len() == length);
        raw.send(FIN | TEXT, text.as_bytes()).await?;
        let answer = raw.next().await?;
        let answered = answer.as_ref().is_some_and(|(_, text)| text.starts_with(b"[\"pong\""));
        ensure!(answered || length > 65_536, "{length}: {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_breaks_the_framing_ends_the_connection_as_a_protocol_error() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let ping: &[u8] = br#"["ping",1]"#;
    let mut cases: Vec<(String, Vec<Part<'_>>)> = vec![
        ("not masked".into(), vec![(FIN | TEXT, ping, Masked::No)]),
        ("a ping in pieces".into(), vec![(PING, b"a", Masked::Yes), (FIN, b"b", Masked::Yes)]),
        ("a ping of 126 bytes".into(), vec![(FIN | PING, &[0x61; 126], Masked::Yes)]),
        ("a pong of 126 bytes".into(), vec![(FIN | PONG, &[0x61; 126], Masked::Yes)]),
        ("a close of 126 bytes".into(), vec![(FIN | CLOSE, &[0x03; 126], Masked::Yes)]),
        ("a close in pieces".into(), vec![(CLOSE, b"\x03\xe8", Masked::Yes)]),
        ("a piece without a first".into(), vec![(FIN, ping, Masked::Yes)]),
        (
            "two first pieces".into(),
            vec![(TEXT, b"[", Masked::Yes), (FIN | TEXT, ping, Masked::Yes)],
        ),
        ("half a close code".into(), vec![(FIN | CLOSE, b"\x03", Masked::Yes)]),
    ];
    for bit in [0x40, 0x20, 0x10] {
        cases.push((format!("reserved bit {bit:#x}"), vec![(FIN | TEXT | bit, ping, Masked::Yes)]));
        cases.push((
            format!("reserved bit {bit:#x} of a ping"),
            vec![(FIN | PING | bit, b"", Masked::Yes)],
        ));
    }
    for opcode in [0x3, 0x4, 0x5, 0x6, 0x7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        cases.push((format!("opcode {opcode:#x}"), vec![(FIN | opcode, b"", Masked::Yes)]));
    }
    for (why, frames) in cases {
        for signed_in in [false, true] {
            let mut raw =
                if signed_in { Raw::signed_in(&server).await? } else { Raw::open(&server).await? };
            for (first, payload, masked) in &frames {
                raw.send_as(*first, payload, *masked).await?;
            }
            raw.closes_with(PROTOCOL_ERROR, &why).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn text_that_is_not_utf8_ends_the_connection_wherever_it_is_cut() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let wrong: [&[u8]; 7] = [
        b"\xff",
        b"\xc0\xaf",         // longer than it needs to be
        b"\xed\xa0\x80",     // half of a surrogate pair
        b"\xf4\x90\x80\x80", // above the last character
        b"\xce\xba\xe1\xbd", // cut off
        b"[\"ping\",1]\x80",
        b"\xf8\x88\x80\x80\x80",
    ];
    for bytes in wrong {
        for cut in 0..bytes.len() {
            let mut raw = Raw::signed_in(&server).await?;
            let (before, after) = bytes.split_at(cut);
            raw.send(TEXT, before).await?;
            raw.send(FIN | PING, b"").await?;
            raw.send(FIN, after).await?;
            raw.closes_with(INVALID_DATA, &format!("{bytes:x?} at {cut}")).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_character_may_be_cut_anywhere() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let mut raw = Raw::signed_in(&server).await?;
    let text = r#"["sync",1,{"type":"κόσμε 🦀"},{"id":[1,"ann:c:t",0],"time":1}]"#.as_bytes();
    for cut in 0..text.len() {
        let (before, after) = text.split_at(cut);
        raw.send(TEXT, before).await?;
        raw.send(FIN, after).await?;
        raw.hears("[\"synced\",1]").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_goodbye_is_answered_and_ends_the_connection() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let code = |code: u16, reason: &[u8]| [&code.to_be_bytes()[..], reason].concat();
    for good in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        let mut raw = Raw::signed_in(&server).await?;
        raw.send(FIN | CLOSE, &code(good, b"so long")).await?;
        raw.send(FIN | TEXT, br#"["ping",1]"#).await?;
        raw.closes_with(good, "what comes after a goodbye is not answered").await?;
    }
    let mut raw = Raw::signed_in(&server).await?;
    raw.send(FIN | CLOSE, b"").await?;
    let answer = raw.close_code().await?;
    ensure!(answer == Some(1005) || answer == Some(NORMAL), "{answer:?}");
    let mut raw = Raw::signed_in(&server).await?;
    raw.send(FIN | CLOSE, &code(NORMAL, &[0x61; 123])).await?;
    raw.closes_with(NORMAL, "the longest reason").await
}

#[tokio::test]
async fn a_goodbye_that_cannot_be_is_told_so() -> anyhow::Result<()> {
    let server = Server::start().await?;
    for bad in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535_u16] {
        let mut raw = Raw::signed_in(&server).await?;
        raw.send(FIN | CLOSE, &bad.to_be_bytes()).await?;
        raw.closes_with(PROTOCOL_ERROR, &format!("close code {bad}")).await?;
    }
    let mut raw = Raw::signed_in(&server).await?;
    raw.send(FIN | CLOSE, b"\x03\xe8\xce\xba\xe1\xbd").await?;
    raw.closes_with(INVALID_DATA, "a reason that is not UTF-8").await
}

#[tokio::test]
async fn an_upgrade_to_something_else_is_refused_with_what_is_spoken() -> anyhow::Result<()> {
    let server = Server::start().await?;
    for headers in [
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Sec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\n",
        "Sec-WebSocket-Version: 13\r\n",
    ] {
        let mut raw = Raw { stream: TcpStream::connect(server.address()).await? };
        let answer = raw.upgrade(headers).await?.to_lowercase();
        ensure!(answer.starts_with("http/1.1 426 "), "{headers}{answer}");
        ensure!(answer.contains("sec-websocket-version: 13"), "{answer}");
    }
    Ok(())
}
