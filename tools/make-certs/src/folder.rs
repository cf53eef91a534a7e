//! The output folder: private keys are readable by their owner only, and no file is replaced
//! unless the user said so.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::Error;

/// The folder that certificates are written to.
pub(crate) struct Folder<'a> {
    path: &'a Path,
    force: bool,
}

impl<'a> Folder<'a> {
    /// The folder at `path`; with `force`, files in it may be replaced.
    pub(crate) fn new(path: &'a Path, force: bool) -> Self {
        Self { path, force }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.path.join(file)
    }

    pub(crate) fn has(&self, file: &str) -> bool {
        // A dangling link counts: writing would go through it.
        self.path(file).symlink_metadata().is_ok()
    }

    /// Fails if any of `files` is there and may not be replaced.
    pub(crate) fn refuse_overwriting(&self, files: &[&str]) -> Result<(), Error> {
        let there: Vec<&str> = files.iter().copied().filter(|file| self.has(file)).collect();
        if there.is_empty() || self.force {
            return Ok(());
        }
        let (folder, there) = (self.path.display(), there.join(", "));
        Err(format!(
            "{folder} already has {there}: give --force to replace, or another folder with --out"
        )
        .into())
    }

    /// Makes the folder if it isn't there.
    pub(crate) fn make(&self) -> Result<(), Error> {
        fs::create_dir_all(self.path)
            .map_err(|error| format!("can't make the folder {}: {error}", self.path.display()))?;
        Ok(())
    }

    pub(crate) fn read(&self, file: &str) -> Result<String, Error> {
        let path = self.path(file);
        let text = fs::read_to_string(&path)
            .map_err(|error| format!("can't read {}: {error}", path.display()))?;
        Ok(text)
    }

    /// Writes a certificate and its private key.
    pub(crate) fn write_pair(
        &self,
        [cert, key]: [&str; 2],
        cert_pem: &str,
        key_pem: &str,
    ) -> Result<(), Error> {
        self.write(key, key_pem, Access::Owner)?;
        self.write(cert, cert_pem, Access::Everyone)
    }

    fn write(&self, file: &str, text: &str, access: Access) -> Result<(), Error> {
        let path = self.path(file);
        self.create(&path, access)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| format!("can't write {}: {error}", path.display()).into())
    }

    /// Always a new file: an old one's permissions, or a link in its place, must not decide who
    /// can read a key.
    fn create(&self, path: &Path, access: Access) -> std::io::Result<fs::File> {
        if self.force {
            match fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        access.restrict(&mut options);
        options.open(path)
    }
}

/// Who may read a file.
enum Access {
    Everyone,
    Owner,
}

impl Access {
    #[cfg(unix)]
    fn restrict(&self, options: &mut OpenOptions) {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(match self {
            Self::Everyone => 0o644,
            Self::Owner => 0o600,
        });
    }

    /// Elsewhere a file inherits its folder's access list.
    #[cfg(not(unix))]
    fn restrict(&self, _: &mut OpenOptions) {}
}
