//! Cipher suites by their numbers.

use alloc::vec::Vec;
use core::fmt;

use crate::backend;

/// A cipher suite as IANA registered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CipherSuite {
    /// Its number, such as 0x1301.
    pub id: u16,
    /// Its name, such as `TLS_AES_128_GCM_SHA256`.
    pub name: &'static str,
}

impl fmt::Display for CipherSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The cipher suites that this build supports, in the order in which a server prefers them unless
/// it is told otherwise. Follows `esp_tls_get_ciphersuites_list`.
///
/// ```
/// let suites = esp_tls::supported_cipher_suites();
/// assert_eq!(suites[0].name, "TLS_AES_128_GCM_SHA256");
/// ```
pub fn supported_cipher_suites() -> Vec<CipherSuite> {
    backend::supported_cipher_suites()
}
