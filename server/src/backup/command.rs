//! The two commands.

use super::container::Reader;
use super::{About, make};
use crate::admin::{self, Request};
use crate::cli::check::Tenths;
use crate::cli::{BackupArgs, RestoreArgs};
use crate::clock;
use crate::log::{Item, Log, OpenError, Restoring, Settings};
use anyhow::{Context, bail, ensure};
use serde_json::json;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use tidelog_crdt::Position;

/// Bytes that are read and written at once.
const BUFFER_BYTES: usize = 1 << 18;

/// `tidelog backup`
pub fn backup(args: &BackupArgs) -> anyhow::Result<()> {
    let data = args.store.data()?;
    if args.file == Path::new("-") {
        let (about, bytes) = take(&data, &mut io::stdout().lock())?;
        eprintln!("{}", receipt(&about, "-", bytes));
        return Ok(());
    }
    let partial = Partial::create(&args.file)?;
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, &partial.file);
    let (about, bytes) = take(&data, &mut out)?;
    out.flush().with_context(|| partial.name())?;
    drop(out);
    partial.finish(&args.file)?;
    let receipt = receipt(&about, &args.file.display().to_string(), bytes);
    Ok(writeln!(io::stdout().lock(), "{receipt}")?)
}

fn receipt(about: &About, file: &str, bytes: u64) -> String {
    json!({ "backup": file, "head": about.head, "time": about.made_ms, "bytes": bytes }).to_string()
}

/// Has a running server send its store, or reads the one that none has open, and writes it to `out`; what
/// it is, and how long the backup is. All of it was checked on the way.
fn take(data: &Path, out: &mut impl Write) -> anyhow::Result<(About, u64)> {
    if let Some(server) = admin::connect(data) {
        return copy(ask(server)?, out);
    }
    if !Log::exists(data) {
        return Err(OpenError::Missing { dir: data.to_owned() }.into());
    }
    let settings = Settings { read_only: true, ..Settings::new(data) };
    let (log, _) = Log::open(settings, clock::now_ms())?;
    let (snapshot, (reader, writer)) = (log.snapshot()?, io::pipe()?);
    std::thread::scope(|scope| {
        let making = scope.spawn(|| make::write(snapshot, BufWriter::new(writer)).map(drop));
        let copied = copy(BufReader::with_capacity(BUFFER_BYTES, reader), out);
        let made = making.join().map_err(|_| anyhow::anyhow!("making the backup ended"))?;
        let copied = copied?;
        made.map(|()| copied)
    })
}

/// The answer of a server that was asked for a backup.
fn ask(mut server: UnixStream) -> anyhow::Result<BufReader<UnixStream>> {
    let mut line = serde_json::to_vec(&Request::Backup {})?;
    line.push(b'\n');
    server.write_all(&line)?;
    let mut answer = BufReader::with_capacity(BUFFER_BYTES, server);
    match answer.fill_buf().context("the server went away")?.first() {
        None => {
            bail!("the server does not answer; it may be of an earlier version, or stopping")
        }
        Some(b'{') => {
            let mut line = String::new();
            answer.read_line(&mut line)?;
            let problem: serde_json::Value = serde_json::from_str(&line)?;
            let said = problem.get("error").and_then(serde_json::Value::as_str);
            bail!("{}", said.unwrap_or("the server refuses"))
        }
        Some(_) => Ok(answer),
    }
}

/// Copies a backup, and checks it on the way.
fn copy(from: impl Read, out: &mut impl Write) -> anyhow::Result<(About, u64)> {
    let (mut reader, about) = Reader::new(Tee { from, out })?;
    let mut tenths = Tenths::default();
    while let Some(items) = reader.items()? {
        tell(&mut tenths, &items, about.head);
    }
    let bytes = reader.bytes();
    Ok((about, bytes))
}

/// Says how far it is.
fn tell(tenths: &mut Tenths, items: &[Item], head: u64) {
    if let Some(Item::Row(first, _)) = items.last() {
        tenths.tell("feed", first.get(), head);
    }
}

/// Writes down what is read.
struct Tee<R, W> {
    from: R,
    out: W,
}

impl<R: Read, W: Write> Read for Tee<R, W> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(bytes)?;
        self.out.write_all(bytes.get(..read).unwrap_or_default())?;
        Ok(read)
    }
}

/// A file that gets its name when it is complete.
struct Partial {
    file: File,
    path: PathBuf,
    finished: bool,
}

impl Partial {
    fn create(name: &Path) -> anyhow::Result<Self> {
        ensure!(!name.is_dir(), "{} is a directory: name a file in it", name.display());
        let mut path = OsString::from(name);
        path.push(".partial");
        let path = PathBuf::from(path);
        // What an earlier one left that was killed is written over; one that runs is left alone.
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = file.with_context(|| format!("{} cannot be made", path.display()))?;
        if file.try_lock().is_err() {
            bail!("{} is being written by another backup: wait for it", path.display());
        }
        file.set_len(0)?;
        Ok(Self { file, path, finished: false })
    }

    fn name(&self) -> String {
        format!("{} cannot be written", self.path.display())
    }

    /// All of it was written: it gets its name, for good.
    fn finish(mut self, name: &Path) -> anyhow::Result<()> {
        self.file.sync_all().with_context(|| self.name())?;
        fs::rename(&self.path, name)
            .with_context(|| format!("{} cannot be made", name.display()))?;
        self.finished = true;
        let folder = name.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished {
            // Its name says what it is, if it cannot be removed.
            drop(fs::remove_file(&self.path));
        }
    }
}

/// `tidelog restore`
pub fn restore(args: &RestoreArgs) -> anyhow::Result<()> {
    let name = args.file.display();
    let from: Box<dyn Read> = if args.file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(&args.file).with_context(|| format!("{name} cannot be read"))?;
        Box::new(BufReader::with_capacity(BUFFER_BYTES, file))
    };
    let receipt = if args.verify {
        verify(from).with_context(|| name.to_string())?
    } else {
        let data = args.store.data()?;
        read(from, &data, args.as_replica).with_context(|| format!("{name} was not restored"))?
    };
    Ok(writeln!(io::stdout().lock(), "{receipt}")?)
}

/// Reads a backup to its end; what it is.
fn verify(from: Box<dyn Read>) -> anyhow::Result<String> {
    let (about, bytes) = copy(from, &mut io::sink())?;
    Ok(json!({ "verified": true, "head": about.head, "time": about.made_ms, "bytes": bytes })
        .to_string())
}

/// Puts the store of a backup into `data`; what it is.
fn read(from: Box<dyn Read>, data: &Path, as_replica: bool) -> anyhow::Result<String> {
    let (mut reader, about) = Reader::new(from)?;
    let head = Position::new(about.head).context("the backup ends at no position")?;
    let mut restoring = Restoring::begin(data, (&about.identity, head), as_replica)?;
    let mut tenths = Tenths::default();
    while let Some(items) = reader.items()? {
        items.iter().try_for_each(|item| restoring.put(item))?;
        tell(&mut tenths, &items, about.head);
    }
    let restored = restoring.finish()?;
    Ok(json!({
        "restored": data.display().to_string(),
        "store": restored.store_id,
        "incarnation": restored.incarnation.to_string(),
        "head": restored.head,
        "time": about.made_ms,
    })
    .to_string())
}
