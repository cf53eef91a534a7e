//! Programs of others: where they are, and who brings them.

use std::path::PathBuf;

/// A program that is not part of this repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Nginx,
    H2o,
    Wrk,
    Strace,
    Valgrind,
}

impl Tool {
    /// Its name, and Debian's package with it: they are the same for all of these, but for one.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Nginx => ("nginx", "nginx-light"),
            Self::H2o => ("h2o", "h2o"),
            Self::Wrk => ("wrk", "wrk"),
            Self::Strace => ("strace", "strace"),
            Self::Valgrind => ("valgrind", "valgrind"),
        }
    }

    /// Where it is.
    ///
    /// # Errors
    ///
    /// What to install, if it is not there.
    pub(crate) fn path(self) -> Result<PathBuf, String> {
        let (name, package) = self.names();
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            // Where Debian has servers; not everybody's PATH has it.
            .chain([PathBuf::from("/usr/sbin")])
            .map(|directory| directory.join(name))
            .find(|program| program.is_file())
            .ok_or_else(|| format!("{name} is missing: apt-get install {package}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_named_with_its_package() {
        if let Err(problem) = Tool::Nginx.path() {
            assert_eq!(problem, "nginx is missing: apt-get install nginx-light");
        }
    }
}
