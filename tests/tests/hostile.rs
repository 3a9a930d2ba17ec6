//! Clients that break the rules: the documented answer or close for them, nothing for anybody else,
//! and memory stays bounded.

use anyhow::{Context, ensure};
use bytes::Bytes;
use std::time::Duration;
use tidelog_client_sim::wire::Wire;
use tidelog_protocol::{ActionId, builtin};
use tidelog_tests::{Device, Options, Server, Verdict, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MIB: usize = 1 << 20;

/// What a server may ever grow by, in MiB, whatever hostile clients do.
const GROWTH_MIB: u64 = 64;

/// A server, and a device that does nothing wrong and must never notice anything.
struct Scene {
    server: Server,
    bystander: Device,
    memory_max_mib: u64,
}

impl Scene {
    async fn start(config: &str) -> anyhow::Result<Self> {
        let options = Options { config: config.to_owned(), ..Options::default() };
        let server = Server::start_with(options).await?;
        let mut bystander = Device::new(server.target(), "bystander", "phone")?;
        bystander.connect().await?;
        let memory_max_mib = server.peak_mib()? + GROWTH_MIB;
        let mut scene = Self { server, bystander, memory_max_mib };
        scene.undisturbed().await?;
        Ok(scene)
    }

    /// The bystander is on its first connection still, and is served; memory is bounded.
    async fn undisturbed(&mut self) -> anyhow::Result<()> {
        let id = self.bystander.dispatch(r#"{"type":"undisturbed"}"#).await?;
        self.bystander.until_acknowledged().await.context("the bystander")?;
        ensure!(self.bystander.verdicts.get(&id) == Some(&vec![Verdict::Processed]));
        let (peak, allowed) = (self.server.peak_mib()?, self.memory_max_mib);
        ensure!(peak <= allowed, "the server has had {peak} MiB, and may have {allowed}");
        Ok(())
    }

    /// Waits for something else; the bystander answers the server's pings meanwhile.
    async fn meanwhile<T>(
        &mut self,
        other: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let mut other = std::pin::pin!(other);
        loop {
            tokio::select! {
                done = &mut other => return done,
                heard = self.bystander.next() => heard?,
            }
            ensure!(self.bystander.is_online(), "the bystander was cut off");
        }
    }

    async fn wire(&self) -> anyhow::Result<Wire> {
        Ok(Wire::open(self.server.address(), None).await?)
    }

    async fn signed_in(&self, user: &str) -> anyhow::Result<Wire> {
        let mut wire = self.wire().await?;
        wire.send(format!(r#"["connect",5,"{user}:c:t",0,{{"token":"x"}}]"#));
        while !frame(&mut wire).await?.starts_with(r#"["connected""#) {}
        Ok(wire)
    }
}

/// The next frame.
async fn frame(wire: &mut Wire) -> anyhow::Result<String> {
    let frame = within("a frame", wire.next()).await?.context("the server closed")?;
    Ok(String::from_utf8(frame.bytes().to_vec())?)
}

/// Every frame until the server closes.
async fn until_closed(wire: &mut Wire) -> anyhow::Result<Vec<String>> {
    let mut frames = Vec::new();
    while let Some(frame) = within("the close", wire.next()).await? {
        frames.push(String::from_utf8(frame.bytes().to_vec())?);
    }
    Ok(frames)
}

fn wrong_format(frame: &str) -> anyhow::Result<String> {
    Ok(serde_json::to_string(&("error", "wrong-format", frame))?)
}

/// What a frame that is sent first thing leads to.
enum Answer {
    /// `wrong-format` with the frame in it, and the close.
    WrongFormat,
    /// `unknown-message` with this name, and the close.
    Unknown(&'static str),
    /// Nothing, and the connection goes on.
    Nothing,
}

/// The rows of the recorded table. Where the reference server died of a frame, it is refused here.
const FIRST_FRAMES: [(&str, Answer); 13] = [
    (r#"["headers",null]"#, Answer::WrongFormat),
    (r#"["connect",5,"1:a:b",0,null]"#, Answer::WrongFormat),
    (r#"["sync",1,{"type":"a"},null]"#, Answer::WrongFormat),
    ("[]", Answer::WrongFormat),
    ("null", Answer::WrongFormat),
    ("[1]", Answer::WrongFormat),
    (r#"["constructor",1]"#, Answer::Unknown("constructor")),
    (r#"["__proto__"]"#, Answer::Unknown("__proto__")),
    (r#"["sync",1]"#, Answer::Nothing),
    (r#"["ping","x"]"#, Answer::WrongFormat),
    (r#"["debug","error","x"]"#, Answer::Nothing),
    (r#"["error","x"]"#, Answer::Nothing),
    // No server is told that it is connected.
    (r#"["connected",5,"server:q",[1,2]]"#, Answer::WrongFormat),
];

#[tokio::test]
async fn a_malformed_frame_is_answered_and_closes_its_own_connection() -> anyhow::Result<()> {
    let mut scene = Scene::start("").await?;
    for (text, answer) in FIRST_FRAMES {
        let mut wire = scene.wire().await?;
        wire.send(text);
        let expected = match answer {
            Answer::WrongFormat => wrong_format(text)?,
            Answer::Unknown(name) => format!(r#"["error","unknown-message","{name}"]"#),
            Answer::Nothing => {
                // It goes on: sign-in works, and what waited is answered.
                wire.send(r#"["connect",5,"patient:c:t",0,{"token":"x"}]"#);
                wire.send(r#"["ping",1]"#);
                while !frame(&mut wire).await?.starts_with(r#"["pong""#) {}
                continue;
            }
        };
        let frames = until_closed(&mut wire).await?;
        ensure!(frames == [expected], "{text}: {frames:?}");
        scene.undisturbed().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_malformed_frame_after_sign_in_closes_its_own_connection() -> anyhow::Result<()> {
    let mut scene = Scene::start("").await?;
    for (text, answer) in FIRST_FRAMES {
        let mut wire = scene.signed_in("rude").await?;
        wire.send(text);
        let expected = match answer {
            Answer::WrongFormat => wrong_format(text)?,
            Answer::Unknown(name) => format!(r#"["error","unknown-message","{name}"]"#),
            Answer::Nothing => {
                wire.send(r#"["ping",1]"#);
                while !frame(&mut wire).await?.starts_with(r#"["pong""#) {}
                continue;
            }
        };
        let frames = until_closed(&mut wire).await?;
        ensure!(frames.last() == Some(&expected), "{text}: {frames:?}");
        scene.undisturbed().await?;
    }
    Ok(())
}

/// A masked frame with a header of our own making: nothing that a library would send.
fn header(opcode: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode, 0x80 | 127];
    bytes.extend(length.to_be_bytes());
    bytes.extend([0; 4]);
    bytes
}

#[tokio::test]
async fn text_that_is_no_utf_8_closes_its_own_connection() -> anyhow::Result<()> {
    let mut scene = Scene::start("").await?;
    for text in [&b"\xff\xfe"[..], b"[\"ping\",\"\xc3\x28\"]"] {
        let mut wire = scene.signed_in("rude").await?;
        wire.flush().await?;
        let bytes = [header(1, text.len() as u64), text.to_vec()].concat();
        wire.stream().write_all(&bytes).await?;
        let frames = until_closed(&mut wire).await?;
        ensure!(frames.iter().all(|frame| frame.starts_with(r#"["error","wrong-format""#)));
        scene.undisturbed().await?;
    }
    let mut wire = scene.signed_in("rude").await?;
    wire.send_binary(Bytes::from_static(b"\x70\x18"));
    until_closed(&mut wire).await?;
    scene.undisturbed().await
}

/// Sends as much of a frame of `length` bytes as the server takes, and what it answers.
async fn send_long(mut wire: Wire, length: usize) -> anyhow::Result<Vec<String>> {
    wire.flush().await?;
    let stream = wire.stream();
    stream.write_all(&header(1, length as u64)).await?;
    let piece = vec![b'['; MIB];
    let pushing = async {
        for _ in 0..length / MIB {
            // The answer must not be lost to a reset, so that reading comes first.
            if stream.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), pushing).await.ok();
    until_closed(&mut wire).await
}

#[tokio::test]
async fn a_frame_of_200_mib_is_refused_and_never_held_in_memory() -> anyhow::Result<()> {
    let mut scene = Scene::start("").await?;
    for _ in 0..3 {
        let wire = scene.signed_in("large").await?;
        let frames = send_long(wire, 200 * MIB).await?;
        let told = frames.iter().all(|frame| frame.contains("a frame has at most"));
        ensure!(told, "{frames:?}");
        scene.undisturbed().await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_length_of_a_frame_that_is_too_long_is_answered_before_it_is_sent() -> anyhow::Result<()>
{
    let mut scene = Scene::start("").await?;
    for (signed_in, length) in [(true, 200 * MIB), (false, MIB)] {
        let mut wire =
            if signed_in { scene.signed_in("large").await? } else { scene.wire().await? };
        wire.flush().await?;
        wire.stream().write_all(&header(1, length as u64)).await?;
        let frames = until_closed(&mut wire).await?;
        let last = frames.last().context("closed without a word")?;
        ensure!(last.starts_with(r#"["error","wrong-format""#), "{frames:?}");
        ensure!(last.contains("bytes"), "{last} does not name the limit");
        scene.undisturbed().await?;
    }
    Ok(())
}

#[tokio::test]
async fn of_10_000_subscriptions_those_above_the_limit_are_undone() -> anyhow::Result<()> {
    let config = "[limits]\nsubscriptions_per_session = 1_000\n[[channel]]\npattern = \"c/:id\"\n\
                  [[action]]\ntype = \"undisturbed\"\n";
    let mut scene = Scene::start(config).await?;
    let mut greedy = Device::new(scene.server.target(), "greedy", "phone")?;
    greedy.connect().await?;
    let mut ids: Vec<ActionId> = Vec::new();
    for n in 0..10_000 {
        let subscribe = builtin::subscribe(&format!("c/{n}"));
        ids.push(greedy.dispatch(std::str::from_utf8(subscribe.json())?).await?);
        if n % 100 == 0 {
            greedy.next_if_any().await?;
        }
    }
    greedy.until_acknowledged().await?;
    let verdict = |id| greedy.verdicts.get(id).map_or(&[][..], Vec::as_slice);
    let processed = ids.iter().filter(|id| verdict(id) == [Verdict::Processed]).count();
    let undone = ids.iter().filter(|id| matches!(verdict(id), [Verdict::Undone(_)])).count();
    ensure!((processed, undone) == (1_000, 9_000), "{processed} processed, {undone} undone");
    scene.undisturbed().await
}

#[tokio::test]
async fn clients_that_never_read_cost_little_and_are_cut_off() -> anyhow::Result<()> {
    // Little memory for what is cached on purpose, so that the rest shows.
    let mut scene = Scene::start(
        "[limits]\nping = \"500ms\"\ntimeout = \"3s\"\n\
         [log]\ntail_bytes = \"4 MiB\"\ncache_bytes = \"4 MiB\"\n",
    )
    .await?;
    // What the log itself needs for that much comes before anyone is deaf.
    let mut author = Device::new(scene.server.target(), "crowd", "author")?;
    author = scene.meanwhile(pour(author)).await?;
    scene.memory_max_mib = scene.server.peak_mib()? + 2 * GROWTH_MIB;
    let mut deaf = Vec::new();
    for n in 0..DEAF {
        let mut device = Device::new(scene.server.target(), "crowd", &format!("deaf{n}"))?;
        device.number = author.number;
        device.connect().await?;
        deaf.push(device);
    }
    author = scene.meanwhile(pour(author)).await?;
    // Queued for each of them, it would be 1,200 MB.
    scene.undisturbed().await?;
    let mut reader = Device::new(scene.server.target(), "crowd", "reader")?;
    reader.connect().await?;
    let reading = reader.until("everything", |device| device.heard.len() >= 2 * POURED);
    scene.meanwhile(reading).await?;
    ensure!(reader.heard == author.dispatched);
    for mut device in deaf {
        // What is left in the socket, and the end.
        let ended = device.until("the end", |device| !device.is_online());
        scene.meanwhile(ended).await?;
        ensure!(device.heard.len() < POURED, "it was sent everything");
    }
    scene.undisturbed().await
}

const DEAF: usize = 20;
const POURED: usize = 3_000;

/// 60 MB of actions: far more than sockets hold.
async fn pour(mut author: Device) -> anyhow::Result<Device> {
    author.connect().await?;
    let text = "x".repeat(20_000);
    for n in 0..POURED {
        author.dispatch(&format!(r#"{{"type":"pour","n":{n},"text":"{text}"}}"#)).await?;
        author.until("room", |device| device.unacknowledged_count() < 50).await?;
    }
    author.until_acknowledged().await?;
    Ok(author)
}

#[tokio::test]
async fn half_a_frame_holds_up_nobody_and_is_cut_off() -> anyhow::Result<()> {
    let mut scene = Scene::start("[limits]\nping = \"500ms\"\ntimeout = \"2s\"\n").await?;
    let mut small = scene.signed_in("sleepy").await?;
    small.flush().await?;
    small.stream().write_all(&[0x81, 0xe4, 1, 2, 3, 4, 5, 6, 7, 8]).await?;
    let mut large = scene.signed_in("sleepier").await?;
    large.flush().await?;
    let half = [header(1, 16 * MIB as u64), vec![b'['; MIB]].concat();
    large.stream().write_all(&half).await?;
    scene.undisturbed().await?;
    scene.meanwhile(until_closed(&mut small)).await?;
    scene.meanwhile(until_closed(&mut large)).await?;
    scene.undisturbed().await
}

#[tokio::test]
async fn whoever_does_not_sign_in_is_cut_off_without_a_word() -> anyhow::Result<()> {
    let mut scene = Scene::start("[limits]\nhandshake = \"1s\"\n").await?;
    let mut silent = TcpStream::connect(scene.server.address()).await?;
    let mut halting = TcpStream::connect(scene.server.address()).await?;
    halting.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nUpgr").await?;
    let mut mute = scene.wire().await?;
    let mut chatty = scene.wire().await?;
    chatty.send(r#"["ping",1]"#);
    for wire in [&mut mute, &mut chatty] {
        let frames = scene.meanwhile(until_closed(wire)).await?;
        ensure!(frames.is_empty(), "{frames:?}");
    }
    for stream in [&mut silent, &mut halting] {
        let mut answer = Vec::new();
        // A reset is an end, too.
        within("the close", stream.read_to_end(&mut answer)).await?.ok();
    }
    scene.undisturbed().await
}
