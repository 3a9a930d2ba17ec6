//! Files and functions stay of a size that can be read at once.
//!
//! A ratchet, not a rule: nearly all code is far below it, and what would pass it is better split now.

use anyhow::{Context, ensure};
use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const PACKAGES: [&str; 5] = ["crdt", "protocol", "server", "client-sim", "tests"];

#[test]
fn no_file_and_no_function_is_too_long() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("tests/ is in the root")?;
    let mut files = Vec::new();
    for package in PACKAGES {
        collect(&root.join(package).join("src"), &mut files)?;
    }
    ensure!(files.len() > 50, "only {} files found", files.len());
    let mut too_long = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file)?;
        too_long.extend(judge(&file.display().to_string(), &text));
    }
    ensure!(too_long.is_empty(), "too long:\n{}", too_long.join("\n"));
    Ok(())
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && path.file_name().is_some_and(|name| name != "tests.rs")
        {
            files.push(path);
        }
    }
    Ok(())
}

/// What is too long in a file that rustfmt has laid out: a function ends with the first brace that is
/// as far in as the line it begins with.
fn judge(file: &str, text: &str) -> Vec<String> {
    // Unit tests are the end of a file.
    let code = text.split("\n#[cfg(test)]\n").next().unwrap_or(text);
    let lines: Vec<&str> = code.lines().collect();
    let mut too_long = Vec::new();
    if lines.len() > FILE_LINES_MAX {
        too_long.push(format!("{file}: {} lines, at most {FILE_LINES_MAX}", lines.len()));
    }
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = function(line) else { continue };
        let indent: String = line.chars().take_while(|c| *c == ' ').collect();
        let end = format!("{indent}}}");
        let rest = lines.iter().skip(at);
        let length = rest.take_while(|line| **line != end).count() + 1;
        if !line.ends_with('}') && !line.ends_with(';') && length > FUNCTION_LINES_MAX {
            too_long.push(format!(
                "{file}:{}: {name} has {length} lines, at most {FUNCTION_LINES_MAX}",
                at + 1
            ));
        }
    }
    too_long
}

/// The name of the function that begins in this line.
fn function(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    loop {
        match words.next()? {
            "fn" => return words.next()?.split(['(', '<']).next(),
            "pub" | "pub(crate)" | "pub(super)" | "async" | "const" | "unsafe" => {}
            word if word.starts_with("pub(in") => {}
            _ => return None,
        }
    }
}

#[test]
fn the_lines_of_functions_and_files_are_counted() {
    let long =
        format!("pub(crate) async fn long<T>(\n    a: T,\n) {{\n{}}}\n", "    a;\n".repeat(70));
    let inner = "impl A {\n    fn short() {\n        match a {\n        }\n    }\n}\n";
    assert_eq!(judge("a.rs", inner), Vec::<String>::new());
    assert_eq!(judge("a.rs", &long), ["a.rs:1: long has 74 lines, at most 70"]);
    assert_eq!(judge("a.rs", &format!("{inner}\n#[cfg(test)]\n{long}")), Vec::<String>::new());
    assert_eq!(judge("a.rs", &"// a\n".repeat(501)), ["a.rs: 501 lines, at most 500"]);
}
