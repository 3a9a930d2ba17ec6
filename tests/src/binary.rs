//! The binary under test.

use anyhow::{Context, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// `TIDELOG_BIN`, or else the binary of the profile that the tests are built with, which is brought up
/// to date first: a test that drives an old binary proves nothing.
pub fn path() -> anyhow::Result<PathBuf> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = BINARY.get_or_init(|| find().map_err(|error| format!("{error:#}")));
    found.clone().map_err(anyhow::Error::msg)
}

fn find() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("TIDELOG_BIN") {
        let path = PathBuf::from(path);
        ensure!(path.is_file(), "TIDELOG_BIN: {} is no file", path.display());
        return Ok(path);
    }
    // target/<profile>/deps/<test>
    let test = std::env::current_exe()?;
    let directory = test.ancestors().nth(2).context("the test is not in a target directory")?;
    build(directory)?;
    Ok(directory.join("tidelog"))
}

fn build(directory: &Path) -> anyhow::Result<()> {
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(profile) => profile,
        None => bail!("{} is not a target directory", directory.display()),
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--workspace", "--bin", "tidelog", "--profile", profile])
        .arg("--target-dir")
        .arg(directory.parent().context("the target directory has no parent")?)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .context("cannot run cargo")?;
    let errors = String::from_utf8_lossy(&built.stderr);
    ensure!(built.status.success(), "the binary does not build:\n{errors}");
    Ok(())
}
