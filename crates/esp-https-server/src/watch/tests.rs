//! Files that change, vanish, and don't fit together.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::vec;

use super::*;

/// A folder with a certificate and a key, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(std::format!("reload-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let folder = Self(path);
        folder.renew();
        folder
    }

    fn files(&self) -> [PathBuf; 2] {
        ["server.pem", "server.key"].map(|name| self.0.join(name))
    }

    fn renew(&self) {
        let [cert, key] = self.files();
        let made = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
        replace(&cert, made.cert.pem());
        replace(&key, made.signing_key.serialize_pem());
    }

    fn loader(&self) -> impl FnMut() -> Result<TlsConfig> + Send + 'static {
        let [cert, key] = self.files();
        move || Ok(TlsConfig::new(fs::read(&cert)?, fs::read(&key)?)?)
    }

    /// Also says how often it was loaded.
    fn watched(&self) -> (Watched, Arc<AtomicUsize>) {
        let count = Arc::<AtomicUsize>::default();
        let counted = count.clone();
        let mut load = self.loader();
        let tls = load().unwrap();
        let load = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            load()
        };
        (Watched::new(tls, self.files().into(), Box::new(load)), count)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// As renewals should do it: nobody ever sees half of a file.
fn replace(file: &Path, content: impl AsRef<[u8]>) {
    let new = file.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::rename(new, file).unwrap();
}

#[test]
fn files_that_stay_are_read_once() {
    let folder = Folder::new("stay");
    let (mut watched, count) = folder.watched();
    (0..3).for_each(|_| watched.look());
    assert_eq!(count.load(Ordering::Relaxed), 0);
}

#[test]
fn a_renewal_is_loaded_once() {
    let folder = Folder::new("renewal");
    let (mut watched, count) = folder.watched();
    folder.renew();
    (0..3).for_each(|_| watched.look());
    assert_eq!((count.load(Ordering::Relaxed), &watched.problem), (1, &None));
}

#[test]
fn what_does_not_fit_together_is_tried_again_and_said_once() {
    let folder = Folder::new("unfit");
    let (mut watched, count) = folder.watched();
    let [_, key] = folder.files();
    let fitting = fs::read(&key).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    replace(&key, other.signing_key.serialize_pem());
    watched.look();
    let problem = watched.problem.clone().expect("the key is another");
    watched.look();
    assert_eq!((count.load(Ordering::Relaxed), watched.problem.as_ref()), (2, Some(&problem)));
    replace(&key, fitting);
    (0..2).for_each(|_| watched.look());
    assert_eq!((count.load(Ordering::Relaxed), &watched.problem), (3, &None));
}

#[test]
fn files_that_vanish_leave_the_old_configuration() {
    let folder = Folder::new("vanish");
    let (mut watched, _) = folder.watched();
    let [cert, _] = folder.files();
    fs::remove_file(cert).unwrap();
    watched.look();
    assert!(watched.problem.is_some());
    folder.renew();
    watched.look();
    assert_eq!(watched.problem, None);
}

#[test]
fn a_loader_that_panics_is_a_problem_like_others() {
    let folder = Folder::new("panic");
    let (mut watched, _) = folder.watched();
    watched.load = Box::new(|| std::panic::resume_unwind(Box::new(())));
    folder.renew();
    watched.look();
    assert!(watched.problem.as_ref().is_some_and(|problem| problem.contains("panicked")));
    watched.load = Box::new(folder.loader());
    watched.look();
    assert_eq!(watched.problem, None);
}

#[test]
fn a_call_wakes_the_thread_and_a_drop_ends_it() {
    let folder = Folder::new("thread");
    let tls = folder.loader()().unwrap();
    let (told, heard) = mpsc::channel();
    let mut load = folder.loader();
    let load = move || {
        told.send(()).unwrap();
        load()
    };
    let hour = Duration::from_secs(3600);
    let reload = ReloadOnChange::start(&tls, vec![folder.files()[0].clone()], hour, load).unwrap();
    folder.renew();
    reload.look();
    heard.recv_timeout(Duration::from_secs(20)).expect("a look");
    drop(reload);
    assert!(heard.recv().is_err(), "the thread has gone and the loader with it");
}
