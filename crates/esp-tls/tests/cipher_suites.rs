//! Cipher suites by number, and what is said about those that don't exist.

mod support;

use std::sync::Mutex;

use esp_tls::{ConfigProblem, Input, TlsVersion, TlsVersions, supported_cipher_suites};
use support::{ClientSetup, Pair, TLS12, TLS13, server_config};

const AES_128: u16 = 0x1301;
const AES_256: u16 = 0x1302;
const ECDHE_ECDSA_AES_128: u16 = 0xC02B;
const ECDHE_ECDSA_AES_256: u16 = 0xC02C;
/// Suites that no provider here has: CBC, and a number that nobody registered.
const OLD: u16 = 0xC027;
const UNKNOWN: u16 = 0xFEED;

#[test]
fn all_that_are_supported_are_listed_the_preferred_first() {
    let suites = supported_cipher_suites();
    assert_eq!((suites[0].id, suites[0].name), (AES_128, "TLS_AES_128_GCM_SHA256"));
    for id in [AES_256, 0x1303, ECDHE_ECDSA_AES_128, 0xC02F] {
        assert_eq!(suites.iter().filter(|suite| suite.id == id).count(), 1, "{id:#06x}");
    }
}

#[test]
fn the_order_given_is_the_order_of_preference() {
    for (ids, versions, chosen) in [
        ([AES_256, AES_128], TLS13, AES_256),
        ([AES_128, AES_256], TLS13, AES_128),
        ([ECDHE_ECDSA_AES_256, ECDHE_ECDSA_AES_128], TLS12, ECDHE_ECDSA_AES_256),
    ] {
        let config = server_config().cipher_suites(ids).unwrap();
        let pair = Pair::connected(&config, &ClientSetup::versions(versions).build());
        assert_eq!(pair.server.cipher_suite().unwrap().id, chosen);
    }
}

#[test]
fn suites_of_one_version_turn_the_other_off() {
    for (id, version, other) in
        [(AES_128, TlsVersion::Tls13, TLS12), (ECDHE_ECDSA_AES_128, TlsVersion::Tls12, TLS13)]
    {
        let config = server_config().cipher_suites([id]).unwrap();
        let pair = Pair::connected(&config, &ClientSetup::default().build());
        assert_eq!(pair.server.version(), Some(version));
        Pair::new(&config, &ClientSetup::versions(other).build()).handshake().unwrap_err();
    }
}

#[test]
fn a_list_with_none_left_is_an_error_that_names_them() {
    let error = server_config().cipher_suites([OLD, UNKNOWN]).unwrap_err();
    assert_eq!(error.input(), Input::CipherSuites);
    assert_eq!(error.problem(), &ConfigProblem::NoCipherSuite(vec![OLD, UNKNOWN]));
    assert_eq!(
        error.to_string(),
        "cipher suites: none is left, for these aren't supported: \
         0xc027 (TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256), 0xfeed"
    );
    let error = server_config().cipher_suites([]).unwrap_err();
    assert_eq!(error.to_string(), "cipher suites: empty");
    let tls13 = server_config().versions(TlsVersions::Tls13).unwrap();
    tls13.cipher_suites([ECDHE_ECDSA_AES_128]).unwrap_err();
}

#[test]
fn those_left_out_are_named_in_a_warning() {
    static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
    struct Logger;
    impl log::Log for Logger {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            if record.level() == log::Level::Warn && record.target().starts_with("esp_tls") {
                LINES.lock().unwrap().push(record.args().to_string());
            }
        }
        fn flush(&self) {}
    }
    log::set_logger(&Logger).unwrap();
    log::set_max_level(log::LevelFilter::Warn);

    let config = server_config().cipher_suites([UNKNOWN, AES_128, OLD, AES_128]).unwrap();
    Pair::connected(&config, &ClientSetup::default().build());
    let warning = "cipher suites left out because they aren't supported: \
                   0xfeed, 0xc027 (TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256)";
    assert_eq!(*LINES.lock().unwrap(), [warning]);
}
