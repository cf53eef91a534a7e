//! Certificates that are renewed in their files while the server runs.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::string::{String, ToString};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};
use std::vec::Vec;
use std::{boxed::Box, fmt};

use esp_http_server::Result;
use esp_tls::TlsConfig;

/// Looks after the files that a [`TlsConfig`] was made of, and reloads it when they change, until this is
/// dropped. It is a thread that sleeps.
///
/// Files are compared by size, time of change and identity, so that a file that is replaced is noticed
/// as well as one that is rewritten, and a symbolic link that leads elsewhere from now on (as certbot's
/// do). If they can't be read or don't fit together, as in the middle of a renewal, the old
/// configuration stays, that is logged, and it is tried again at the next look.
///
/// ```no_run
/// use std::fs;
/// use std::time::Duration;
/// use esp_https_server::{HttpsConfig, HttpsServer, ReloadOnChange, Result, TlsConfig};
///
/// fn load() -> Result<TlsConfig> {
///     Ok(TlsConfig::new(fs::read("server.pem")?, fs::read("server.key")?)?)
/// }
///
/// fn main() -> Result {
///     let tls = load()?;
///     let files = ["server.pem", "server.key"];
///     let _reload = ReloadOnChange::start(&tls, files, Duration::from_secs(10), load)?;
///     HttpsServer::builder(HttpsConfig::new(tls)).start()?.join()
/// }
/// ```
#[must_use = "nobody looks any more once it is dropped"]
pub struct ReloadOnChange {
    calls: Arc<Calls>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is asked for.
#[derive(Default)]
struct Calls {
    state: Mutex<Call>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Call {
    #[default]
    Sleep,
    Look,
    End,
}

impl ReloadOnChange {
    /// Looks at `files` as often as `every` says. When one has changed it calls `load`, and reloads `tls`,
    /// and so every server that has it, with what that gives ([`TlsConfig::reload`]).
    ///
    /// # Errors
    ///
    /// No thread can be started.
    pub fn start<P: Into<PathBuf>>(
        tls: &TlsConfig,
        files: impl IntoIterator<Item = P>,
        every: Duration,
        load: impl FnMut() -> Result<TlsConfig> + Send + 'static,
    ) -> io::Result<Self> {
        let files = files.into_iter().map(Into::into).collect();
        let mut watched = Watched::new(tls.clone(), files, Box::new(load));
        let calls = Arc::<Calls>::default();
        let called = Arc::clone(&calls);
        let thread = thread::Builder::new().name("tls-reload".into()).spawn(move || {
            while called.wait(every) != Call::End {
                watched.look();
            }
        })?;
        Ok(Self { calls, thread: Some(thread) })
    }

    /// Looks now, too: for a program that is told of a renewal, by a signal, say.
    pub fn look(&self) {
        self.calls.call(Call::Look);
    }
}

impl Drop for ReloadOnChange {
    fn drop(&mut self) {
        self.calls.call(Call::End);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the thread that reloads certificates has panicked");
        }
    }
}

impl fmt::Debug for ReloadOnChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReloadOnChange").finish_non_exhaustive()
    }
}

impl Calls {
    fn call(&self, call: Call) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = call;
        self.changed.notify_one();
    }

    /// Sleeps until somebody calls, or so long.
    fn wait(&self, time: Duration) -> Call {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let woken = self.changed.wait_timeout_while(state, time, |call| *call == Call::Sleep);
        let (mut state, _) = woken.unwrap_or_else(PoisonError::into_inner);
        match *state {
            Call::End => Call::End,
            Call::Look | Call::Sleep => std::mem::take(&mut *state),
        }
    }
}

type Load = Box<dyn FnMut() -> Result<TlsConfig> + Send>;

/// The files and what was made of them.
struct Watched {
    tls: TlsConfig,
    files: Vec<PathBuf>,
    load: Load,
    /// As the files were when they were loaded last; `None` to load them at the next look.
    loaded: Option<Vec<Stamp>>,
    /// What was logged last, so that it isn't said again at every look.
    problem: Option<String>,
}

/// What tells a file from itself at another time; `None` if it can't be read.
type Stamp = Option<(u64, Option<SystemTime>, [u64; 2])>;

impl Watched {
    fn new(tls: TlsConfig, files: Vec<PathBuf>, load: Load) -> Self {
        let mut watched = Self { tls, files, load, loaded: None, problem: None };
        watched.loaded = Some(watched.stamps());
        watched
    }

    fn look(&mut self) {
        let stamps = self.stamps();
        if self.loaded.as_ref() == Some(&stamps) {
            return;
        }
        match self.reload() {
            Ok(()) => {
                log::info!("certificates reloaded");
                // As they were before they were read: a change since then shows at the next look.
                self.loaded = Some(stamps);
                self.problem = None;
            }
            Err(problem) => {
                if self.problem.as_ref() != Some(&problem) {
                    log::error!("certificates not reloaded, the old ones stay: {problem}");
                }
                self.loaded = None;
                self.problem = Some(problem);
            }
        }
    }

    fn reload(&mut self) -> Result<(), String> {
        // Whatever it has left half done, it only makes the next configuration.
        let load = std::panic::AssertUnwindSafe(&mut self.load);
        let loaded = std::panic::catch_unwind(|| {
            let load = load;
            (load.0)()
        });
        match loaded {
            Ok(Ok(tls)) => self.tls.reload(tls).map_err(|error| error.to_string()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the function that loads them panicked".into()),
        }
    }

    fn stamps(&self) -> Vec<Stamp> {
        self.files.iter().map(stamp).collect()
    }
}

fn stamp(file: &PathBuf) -> Stamp {
    let metadata = fs::metadata(file).ok()?;
    #[cfg(unix)]
    let identity = {
        use std::os::unix::fs::MetadataExt;
        [metadata.dev(), metadata.ino()]
    };
    #[cfg(not(unix))]
    let identity = [0; 2];
    Some((metadata.len(), metadata.modified().ok(), identity))
}

#[cfg(test)]
mod tests;
