//! What is written from the declarations of flags and settings: completions, man pages, and the
//! reference of the configuration.

use super::{CompletionsArgs, ManArgs, command};
use anyhow::Context;
use std::io::{Write, stdout};

/// `tidelog completions`: a script for a shell.
pub fn completions(args: &CompletionsArgs) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "tidelog", &mut script);
    print(&script)
}

/// `tidelog man`: the page of `tidelog`, or all pages into a directory.
pub fn man(args: &ManArgs) -> anyhow::Result<()> {
    if let Some(dir) = &args.dir {
        let written =
            std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(command(), dir));
        return written.with_context(|| format!("cannot write man pages to {}", dir.display()));
    }
    let mut page = Vec::new();
    let mut command = command().disable_help_subcommand(true);
    // As it is for the page in a directory.
    command.build();
    clap_mangen::Man::new(command).render(&mut page)?;
    print(&page)
}

/// `tidelog config-reference`: every setting with its default and meaning.
pub fn config_reference() -> anyhow::Result<()> {
    print(crate::config::reference().as_bytes())
}

/// Whoever reads may have read enough.
fn print(text: &[u8]) -> anyhow::Result<()> {
    match stdout().write_all(text).and_then(|()| stdout().flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
