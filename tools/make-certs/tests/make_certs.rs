//! Runs the program as a user would, and reads what it wrote as a TLS peer would.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tempfile::TempDir;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::prelude::{FromDer, X509Certificate};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn without_arguments_it_makes_certificates_for_this_machine() {
    let dir = TempDir::new().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_make-certs"))
        .current_dir(&dir)
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{}", stderr(&output));

    let out = dir.path().join("certs");
    for name in ["localhost", "127.0.0.1", "::1"] {
        verify(&out, "server", Peer::Server(name), 0).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    verify(&out, "client", Peer::Client, 0).unwrap();
}

#[test]
fn the_server_is_valid_for_the_given_names_only() {
    let dir = TempDir::new().unwrap();
    make(&dir, &["gateway.local", "*.dev.example", "192.168.4.1", "fd00::1"]);

    for name in ["gateway.local", "a.dev.example", "192.168.4.1", "fd00::1"] {
        verify(dir.path(), "server", Peer::Server(name), 0)
            .unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    for name in ["localhost", "127.0.0.1", "dev.example", "a.b.dev.example", "192.168.4.2"] {
        let error = verify(dir.path(), "server", Peer::Server(name), 0).expect_err(name);
        assert!(matches!(error, webpki::Error::CertNotValidForName(_)), "{name}: {error:?}");
    }
}

#[test]
fn a_server_cannot_pose_as_a_client_nor_a_client_as_a_server() {
    let dir = TempDir::new().unwrap();
    make(&dir, &[]);
    let error = verify(dir.path(), "server", Peer::Client, 0).unwrap_err();
    assert!(matches!(error, webpki::Error::RequiredEkuNotFoundContext(_)), "{error:?}");
    let error = verify(dir.path(), "client", Peer::Server("localhost"), 0).unwrap_err();
    assert!(matches!(error, webpki::Error::RequiredEkuNotFoundContext(_)), "{error:?}");
}

#[test]
fn another_authority_does_not_vouch_for_it() {
    let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    make(&one, &[]);
    make(&other, &[]);
    fs::copy(other.path().join("ca.pem"), one.path().join("ca.pem")).unwrap();
    let error = verify(one.path(), "server", Peer::Server("localhost"), 0).unwrap_err();
    assert_eq!(error, webpki::Error::UnknownIssuer);
}

#[test]
fn it_is_valid_from_now_for_the_given_days() {
    let dir = TempDir::new().unwrap();
    make(&dir, &["--days", "10"]);
    let server = Peer::Server("localhost");
    verify(dir.path(), "server", server, 0).unwrap();
    verify(dir.path(), "server", server, 9).unwrap();
    let error = verify(dir.path(), "server", server, 11).unwrap_err();
    assert!(matches!(error, webpki::Error::CertExpired { .. }), "{error:?}");
}

#[test]
fn validity_can_start_in_the_past_and_end_after_2050() {
    let dir = TempDir::new().unwrap();
    make(&dir, &["--valid-from", "2020-02-29", "--days", "36525"]);
    // 2050 is where X.509 changes the format of its dates (RFC 5280 section 4.1.2.5).
    verify(dir.path(), "server", Peer::Server("localhost"), 365 * 60).unwrap();
    for file in ["ca.pem", "server.pem", "client.pem"] {
        let der = certificate(dir.path(), file);
        let (_, cert) = X509Certificate::from_der(&der).unwrap();
        assert_eq!(cert.validity().not_before.to_string(), "Feb 29 00:00:00 2020 +00:00");
        assert_eq!(cert.validity().not_after.to_string(), "Mar  1 00:00:00 2120 +00:00");
    }
}

#[test]
fn by_default_browsers_accept_how_long_it_is_valid() {
    let dir = TempDir::new().unwrap();
    make(&dir, &[]);
    let der = certificate(dir.path(), "server.pem");
    let (_, cert) = X509Certificate::from_der(&der).unwrap();
    let validity = cert.validity();
    let len = validity.not_after.timestamp() - validity.not_before.timestamp();
    assert!(len <= 398 * DAY.as_secs() as i64, "{len} seconds");
}

#[test]
fn certificates_have_the_extensions_that_peers_check() {
    let dir = TempDir::new().unwrap();
    make(&dir, &[]);

    let der = certificate(dir.path(), "ca.pem");
    let (_, ca) = X509Certificate::from_der(&der).unwrap();
    let constraints = ca.basic_constraints().unwrap().expect("basic constraints");
    assert!(constraints.critical && constraints.value.ca);
    assert_eq!(constraints.value.path_len_constraint, Some(0));
    let usage = ca.key_usage().unwrap().expect("key usage");
    assert!(usage.critical && usage.value.key_cert_sign() && !usage.value.digital_signature());

    for file in ["server.pem", "client.pem"] {
        let der = certificate(dir.path(), file);
        let (_, leaf) = X509Certificate::from_der(&der).unwrap();
        let constraints = leaf.basic_constraints().unwrap().expect("basic constraints");
        assert!(!constraints.value.ca, "{file}");
        let usage = leaf.key_usage().unwrap().expect("key usage");
        assert!(usage.value.digital_signature() && !usage.value.key_cert_sign(), "{file}");
        assert_eq!(leaf.issuer().to_string(), ca.subject().to_string(), "{file}");
        assert_ne!(leaf.raw_serial(), ca.raw_serial(), "{file}");
    }
}

#[test]
fn each_key_belongs_to_its_certificate() {
    let dir = TempDir::new().unwrap();
    make(&dir, &[]);
    for pair in ["ca", "server", "client"] {
        let pem = fs::read_to_string(dir.path().join(format!("{pair}.key"))).unwrap();
        // A form that every TLS library reads: PKCS #8.
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        assert!(matches!(der, PrivateKeyDer::Pkcs8(_)), "{pair}");
        let key = rcgen::KeyPair::from_pem(&pem).unwrap();
        let cert = certificate(dir.path(), &format!("{pair}.pem"));
        let (_, cert) = X509Certificate::from_der(&cert).unwrap();
        let public = rcgen::PublicKeyData::subject_public_key_info(&key);
        assert_eq!(cert.public_key().raw, public, "{pair}");
        assert!(key.is_compatible(&rcgen::PKCS_ECDSA_P256_SHA256), "{pair}");
    }
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_the_keys() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().unwrap();
    let mode =
        |file: &str| fs::metadata(dir.path().join(file)).unwrap().permissions().mode() & 0o777;
    make(&dir, &[]);
    for file in ["ca.key", "server.key", "client.key"] {
        assert_eq!(mode(file), 0o600, "{file}");
    }

    // A key that replaces a readable one is private as well.
    let key = dir.path().join("server.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    make(&dir, &["--force"]);
    assert_eq!(mode("server.key"), 0o600);
}

#[test]
fn nothing_is_overwritten_without_force() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("client.key"), "mine").unwrap();
    let error = refuse(&dir, &[]);
    assert!(error.contains("already has client.key") && error.contains("--force"), "{error}");
    assert_eq!(files(&dir), ["client.key"]);
    assert_eq!(fs::read_to_string(dir.path().join("client.key")).unwrap(), "mine");
}

#[test]
fn force_replaces_the_certificates_and_keeps_the_authority() {
    let dir = TempDir::new().unwrap();
    make(&dir, &[]);
    let [ca, server] = ["ca.pem", "server.pem"].map(|file| certificate(dir.path(), file));
    let output = make(&dir, &["--force", "other.local"]);
    assert!(output.contains("kept"), "{output}");
    assert_eq!(certificate(dir.path(), "ca.pem"), ca);
    assert_ne!(certificate(dir.path(), "server.pem"), server);
    verify(dir.path(), "server", Peer::Server("other.local"), 0).unwrap();
}

#[test]
fn an_authority_that_is_there_is_used() {
    let dir = TempDir::new().unwrap();
    make(&dir, &[]);
    for file in ["server.pem", "server.key", "client.pem", "client.key"] {
        fs::remove_file(dir.path().join(file)).unwrap();
    }
    let ca = certificate(dir.path(), "ca.pem");
    make(&dir, &["again.local"]);
    assert_eq!(certificate(dir.path(), "ca.pem"), ca);
    verify(dir.path(), "server", Peer::Server("again.local"), 0).unwrap();
}

#[test]
fn a_new_authority_replaces_one_only_by_force() {
    let dir = TempDir::new().unwrap();
    make(&dir, &[]);
    let ca = certificate(dir.path(), "ca.pem");
    for file in ["server.pem", "server.key", "client.pem", "client.key"] {
        fs::remove_file(dir.path().join(file)).unwrap();
    }
    let error = refuse(&dir, &["--new-ca"]);
    assert!(error.contains("already has ca.pem, ca.key"), "{error}");
    assert_eq!(certificate(dir.path(), "ca.pem"), ca);

    make(&dir, &["--new-ca", "--force"]);
    assert_ne!(certificate(dir.path(), "ca.pem"), ca);
    verify(dir.path(), "server", Peer::Server("localhost"), 0).unwrap();
}

#[test]
fn an_authority_that_cannot_sign_is_refused_before_anything_is_written() {
    let dir = TempDir::new().unwrap();
    make(&dir, &["--days", "100"]);
    let before = contents(&dir);
    let path = |file: &str| dir.path().join(file);

    let error = refuse(&dir, &["--force", "--days", "4000"]);
    assert!(error.contains("before the new certificates would"), "{error}");
    assert_eq!(contents(&dir), before);

    fs::rename(path("ca.key"), path("kept.key")).unwrap();
    let error = refuse(&dir, &["--force"]);
    assert!(error.contains("can't read") && error.contains("ca.key"), "{error}");

    fs::copy(path("client.key"), path("ca.key")).unwrap();
    let error = refuse(&dir, &["--force"]);
    assert!(error.contains("is not the key of"), "{error}");

    fs::write(path("ca.key"), "not a key").unwrap();
    let error = refuse(&dir, &["--force"]);
    assert!(error.contains("no usable private key"), "{error}");

    fs::copy(path("server.key"), path("ca.key")).unwrap();
    fs::copy(path("server.pem"), path("ca.pem")).unwrap();
    let error = refuse(&dir, &["--force"]);
    assert!(error.contains("is not the certificate of a CA"), "{error}");

    fs::write(path("ca.pem"), "not a certificate").unwrap();
    let error = refuse(&dir, &["--force"]);
    assert!(error.contains("no certificate in PEM form"), "{error}");
}

#[test]
fn arguments_that_no_certificate_can_hold_are_refused() {
    let dir = TempDir::new().unwrap();
    let too_long = "x".repeat(65);
    for (args, reason) in [
        (&["https://localhost:8443/"][..], "not a URL"),
        (&["localhost:8443"], "without a port"),
        (&["two words"], "without a port"),
        (&["*.*.example"], "without a port"),
        (&[""], "without a port"),
        (&["bücher.example"], "xn--"),
        (&["--days", "0"], "--days"),
        (&["--days", "365251"], "--days"),
        (&["--valid-from", "yesterday"], "YYYY-MM-DD"),
        (&["--valid-from", "9999-01-01"], "8999"),
        (&["--valid-from", "2020-01-01", "--days", "30"], "2020-01-31, which is past"),
        (&["--client", ""], "needs a name"),
        (&["--client", &too_long], "65 characters"),
    ] {
        let error = refuse(&dir, args);
        assert!(error.contains(reason), "{args:?}: {error}");
    }
    assert_eq!(files(&dir), [""; 0]);
}

#[test]
fn it_says_what_it_wrote_and_what_to_do_next() {
    let dir = TempDir::new().unwrap();
    let output = make(&dir, &["fd00::1", "gateway.local", "--client", "sensor 7"]);
    for part in ["fd00::1, gateway.local", "sensor 7", "https://[fd00::1]:8443/", "--cacert"] {
        assert!(output.contains(part), "{part:?} in {output}");
    }
    for file in files(&dir) {
        assert!(output.contains(&file), "{file} in {output}");
    }
}

/// Whom the verifying side takes the certificate's holder for.
#[derive(Clone, Copy)]
enum Peer<'a> {
    Server(&'a str),
    Client,
}

/// Verifies `NAME.pem` against `ca.pem` as rustls does, `days` days from now.
fn verify(folder: &Path, name: &str, peer: Peer<'_>, days: u32) -> Result<(), webpki::Error> {
    let ca = certificate(folder, "ca.pem");
    let leaf = certificate(folder, &format!("{name}.pem"));
    let leaf = EndEntityCert::try_from(&leaf)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let usage = match peer {
        Peer::Server(_) => KeyUsage::server_auth(),
        Peer::Client => KeyUsage::client_auth(),
    };
    leaf.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &[anchor_from_trusted_cert(&ca)?],
        &[],
        UnixTime::since_unix_epoch(now + days * DAY),
        usage,
        None,
        None,
    )?;
    match peer {
        Peer::Server(name) => {
            leaf.verify_is_valid_for_subject_name(&ServerName::try_from(name).unwrap())
        }
        Peer::Client => Ok(()),
    }
}

fn certificate(folder: &Path, file: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(folder.join(file)).expect(file)
}

/// Runs the program with `args` on the folder `dir`; returns what it printed.
fn make(dir: &TempDir, args: &[&str]) -> String {
    let output = run(dir, args);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs the program with `args`, which it has to refuse; returns what it complained about.
fn refuse(dir: &TempDir, args: &[&str]) -> String {
    let output = run(dir, args);
    assert!(!output.status.success(), "{args:?} was accepted");
    assert!(output.stdout.is_empty(), "{args:?}");
    stderr(&output)
}

fn run(dir: &TempDir, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_make-certs"))
        .arg("--out")
        .arg(dir.path())
        .args(args)
        .output()
        .expect("the program starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn files(dir: &TempDir) -> Vec<String> {
    contents(dir).into_iter().map(|(file, _)| file).collect()
}

fn contents(dir: &TempDir) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}
