//! Keys on a PKCS #11 token, SoftHSM's: Debian's package softhsm2, which `ci.sh` installs.
#![cfg(feature = "pkcs11")]

mod support;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use esp_tls::{
    CertifiedKey, ConfigProblem, KeyAlgorithm, Pkcs11Key, Pkcs11Uri, PrivateKey, SigningKey,
    SystemClock, TlsConfig,
};
use support::{ClientSetup, Pair, TLS12, TLS13, pki};

const PIN: &str = "4711";
const EC384: &str = include_str!("data/ec384.pem");
const ED25519: &str = include_str!("data/ed25519.pem");
const RSA: &str = include_str!("data/rsa2048.pem");

/// A token with three keys, in a folder of its own.
struct Token {
    module: String,
    folder: tempfile::TempDir,
}

/// The token of this test program; `None`, and said why, if SoftHSM isn't installed.
fn token() -> Option<&'static Token> {
    static TOKEN: OnceLock<Option<Token>> = OnceLock::new();
    let token = TOKEN.get_or_init(make_token).as_ref();
    if token.is_none() {
        // Not by `eprintln`, whose output is only shown for tests that fail.
        let _ = writeln!(io::stderr(), "skipped: SoftHSM isn't installed (Debian: softhsm2)");
    }
    token
}

fn make_token() -> Option<Token> {
    let module = [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib64/pkcs11/libsofthsm2.so",
        "/usr/local/lib/softhsm/libsofthsm2.so",
    ]
    .into_iter()
    .find(|path| Path::new(path).exists())?;
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tokens")).unwrap();
    let conf = folder.path().join("softhsm2.conf");
    let tokens = folder.path().join("tokens");
    std::fs::write(
        &conf,
        format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display()),
    )
    .unwrap();
    for token in ["gateway", "loose", "empty"] {
        let pins = ["--so-pin", "0815", "--pin", PIN];
        util(&conf, &[&["--init-token", "--free", "--label", token], &pins[..]].concat());
    }
    for (token, label, id, key) in [
        ("gateway", "rsa", "01", RSA),
        ("gateway", "p384", "02", EC384),
        ("gateway", "ed25519", "03", ED25519),
        ("loose", "p384", "01", EC384),
    ] {
        let file: PathBuf = folder.path().join(label);
        std::fs::write(&file, key).unwrap();
        let import = ["--import", file.to_str().unwrap(), "--token", token, "--pin", PIN];
        util(&conf, &[&import[..], &["--label", label, "--id", id]].concat());
    }
    // SAFETY: all tests of this program wait for this function before they do anything, and the
    // module, which reads the variable, is loaded later.
    unsafe { std::env::set_var("SOFTHSM2_CONF", &conf) };
    Some(Token { module: module.into(), folder })
}

fn util(conf: &Path, arguments: &[&str]) {
    let output = Command::new("softhsm2-util")
        .env("SOFTHSM2_CONF", conf)
        .args(arguments)
        .output()
        .expect("softhsm2-util is installed with the module");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "softhsm2-util {arguments:?}: {said}");
}

impl Token {
    fn uri(&self) -> Pkcs11Uri {
        Pkcs11Uri::new(&self.module).token("gateway").user_pin(PIN)
    }

    fn problem(&self, uri: Pkcs11Uri) -> String {
        let error = Pkcs11Key::open(uri).unwrap_err();
        assert!(matches!(error.problem(), ConfigProblem::Device(_)), "{error}");
        assert_eq!(error.esp_code(), 0x8007);
        error.to_string()
    }
}

fn certificate(key_pem: &str) -> String {
    let key = rcgen::KeyPair::from_pem(key_pem).unwrap();
    pki().authority.issue_for(support::pki::server_params(&["localhost"]), key).cert_pem
}

fn config(cert: &str, key: Pkcs11Key) -> TlsConfig {
    let certified = CertifiedKey::new(cert, PrivateKey::on_device(key)).unwrap();
    TlsConfig::from_certified_key(certified, SystemClock).unwrap()
}

#[test]
fn keys_of_all_kinds_serve_both_versions() {
    let Some(token) = token() else { return };
    for (label, algorithm, pem) in [
        ("rsa", KeyAlgorithm::Rsa, RSA),
        ("p384", KeyAlgorithm::EcdsaP384, EC384),
        ("ed25519", KeyAlgorithm::Ed25519, ED25519),
    ] {
        let key = Pkcs11Key::open(token.uri().object_label(label)).unwrap();
        assert_eq!(key.algorithm(), algorithm);
        let config = config(&certificate(pem), key);
        for versions in [TLS12, TLS13] {
            for _ in 0..20 {
                let pair = Pair::connected(&config, &ClientSetup::versions(versions).build());
                assert!(!pair.client.tls.is_handshaking());
            }
        }
    }
}

#[test]
fn a_key_is_found_by_uri() {
    let Some(token) = token() else { return };
    let uri = format!(
        "pkcs11:token=gateway;id=%02;type=private?module-path={}&pin-value={PIN}",
        token.module
    );
    let key = Pkcs11Key::open(uri.parse().unwrap()).unwrap();
    assert!(!format!("{key:?}").contains(PIN), "{key:?}");
    let config = config(&certificate(EC384), key);
    Pair::connected(&config, &ClientSetup::default().build());
}

#[test]
fn a_pin_comes_from_a_file() {
    let Some(token) = token() else { return };
    let file = token.folder.path().join("pin");
    let uri = format!(
        "pkcs11:token=gateway;object=p384?module-path={}&pin-source=file:{}",
        token.module,
        file.display()
    );
    let uri: Pkcs11Uri = uri.parse().unwrap();
    let problem = token.problem(uri.clone());
    assert!(problem.starts_with(&format!("server key: {}: ", file.display())), "{problem}");
    std::fs::write(&file, format!("{PIN}\n")).unwrap();
    let config = config(&certificate(EC384), Pkcs11Key::open(uri).unwrap());
    Pair::connected(&config, &ClientSetup::default().build());
}

#[test]
fn several_threads_sign_with_one_key() {
    let Some(token) = token() else { return };
    let key = Pkcs11Key::open(token.uri().object_label("p384")).unwrap();
    let config = config(&certificate(EC384), key);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    Pair::connected(&config, &ClientSetup::default().build());
                }
            });
        }
    });
    assert_eq!(config.handshake_counts().full, 40);
}

#[test]
fn a_token_that_forgot_who_is_logged_in_is_logged_in_to_again() {
    let Some(token) = token() else { return };
    let uri = Pkcs11Uri::new(&token.module).token("loose").user_pin(PIN);
    let config = config(&certificate(EC384), Pkcs11Key::open(uri).unwrap());
    Pair::connected(&config, &ClientSetup::default().build());

    // All sessions of a program with a token are logged out together.
    let module = cryptoki::context::Pkcs11::new(&token.module).unwrap();
    let is_loose =
        |slot: &cryptoki::slot::Slot| module.get_token_info(*slot).unwrap().label() == "loose";
    let slots = module.get_slots_with_initialized_token().unwrap();
    let slot = slots.into_iter().find(is_loose).unwrap();
    module.open_ro_session(slot).unwrap().logout().unwrap();
    Pair::connected(&config, &ClientSetup::default().build());
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let Some(token) = token() else { return };
    let key = Pkcs11Key::open(token.uri().object_label("p384")).unwrap();
    let certified = CertifiedKey::new(certificate(RSA), PrivateKey::on_device(key));
    assert_eq!(certified.unwrap_err().problem(), &ConfigProblem::KeyMismatch);
}

#[test]
fn what_is_not_there_is_named() {
    let Some(token) = token() else { return };
    assert_eq!(token.problem(token.uri().object_label("x")), "server key: there is no such key");
    assert_eq!(token.problem(token.uri()), "server key: the URI fits several keys");
    assert_eq!(token.problem(token.uri().token("x")), "server key: there is no such token");
    assert_eq!(
        token.problem(Pkcs11Uri::new(&token.module).user_pin(PIN)),
        "server key: the URI fits several tokens"
    );
    let nowhere = Pkcs11Uri::new("/nowhere.so");
    assert!(token.problem(nowhere).starts_with("server key: /nowhere.so: "));
    let without = Pkcs11Uri::default();
    assert!(token.problem(without).contains("names no module"));
}

#[test]
fn a_wrong_pin_is_named() {
    let Some(token) = token() else { return };
    let wrong = Pkcs11Uri::new(&token.module).token("empty").user_pin("0000");
    assert_eq!(token.problem(wrong), "server key: wrong PIN");
}
