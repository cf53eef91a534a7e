//! Builds the testbed and the peers, and knows where everything is.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::Failure;

/// The directory of the whole project.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("bench is in the project")
}

/// Where results, logs and the peers' configurations go: `target/bench`.
///
/// # Errors
///
/// If it can't be made.
pub(crate) fn output_dir() -> Result<PathBuf, Failure> {
    let directory = root().join("target/bench");
    std::fs::create_dir_all(&directory)?;
    Ok(directory)
}

/// Which peers are built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peers {
    None,
    All,
}

/// The programs that were built, by name.
pub(crate) struct Programs(HashMap<String, PathBuf>);

impl Programs {
    /// Builds the testbed, and the peers or not, in release mode. Cargo's output goes to standard
    /// error.
    ///
    /// # Errors
    ///
    /// If one does not build.
    pub(crate) fn build(peers: Peers) -> Result<Self, Failure> {
        let mut programs = cargo_build(&root().join("Cargo.toml"), &["--example", "testbed"])?;
        if peers == Peers::All {
            // All or none: Cargo would build one alone with other features of what they share.
            let packages = ["peer-actix", "peer-axum", "peer-bare"];
            let what: Vec<_> = packages.into_iter().flat_map(|peer| ["--package", peer]).collect();
            programs.extend(cargo_build(&root().join("bench/Cargo.toml"), &what)?);
        }
        Ok(Self(programs))
    }

    /// Where a program is.
    pub(crate) fn path(&self, name: &str) -> Result<&Path, Failure> {
        let path = self.0.get(name).ok_or_else(|| format!("cargo has built no {name}"))?;
        Ok(path)
    }
}

fn cargo_build(manifest: &Path, what: &[&str]) -> Result<HashMap<String, PathBuf>, Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        // From here, so that the project's .cargo/config.toml holds for the peers as well.
        .current_dir(root())
        .args(["build", "--release", "--locked", "--message-format=json-render-diagnostics"])
        .arg("--manifest-path")
        .arg(manifest)
        .args(what)
        .stderr(Stdio::inherit())
        .output()?;
    match output.status.success() {
        true => Ok(executables(&String::from_utf8(output.stdout)?)),
        false => Err(format!("{} does not build", manifest.display()).into()),
    }
}

/// The programs in cargo's messages, one JSON object a line.
fn executables(messages: &str) -> HashMap<String, PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| {
            let path = message["executable"].as_str()?;
            Some((message["target"]["name"].as_str()?.to_owned(), PathBuf::from(path)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_cargos_messages_only_those_with_a_program_count() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"clap"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"testbed"},"executable":"/t/testbed"}"#,
            "\nnot JSON\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        let found = executables(messages);
        assert_eq!(found.len(), 1);
        assert_eq!(found["testbed"], Path::new("/t/testbed"));
    }

    #[test]
    fn the_project_is_found_from_here() {
        assert!(root().join("examples/certs/server.pem").is_file());
    }
}
