//! The client's first message, as far as it decides how a server answers (RFC 8446, section 4.1.2;
//! RFC 5246, section 7.4.1.2).
//!
//! It is read before the TLS library sees it, because the library fixes its rules when a connection
//! begins, and here the rules may depend on the client. Nothing is taken away or changed: the
//! library gets the same bytes afterwards and judges them itself. So whatever isn't understood here
//! is no error here; it only never reaches a certificate that a hook chose.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use rustls_pki_types::ServerName;

use crate::signing_key::SignatureScheme;

/// Bytes of a record's header: type, version, length (RFC 8446, section 5.1).
pub(crate) const RECORD_HEADER_LEN: usize = 5;
/// Bytes of a handshake message's header: type, length (RFC 8446, section 4).
const MESSAGE_HEADER_LEN: usize = 4;
/// The largest payload of a record in the clear.
const MAX_FRAGMENT_LEN: usize = 16_384;
pub(crate) const HANDSHAKE_RECORD: u8 = 22;
const CLIENT_HELLO: u8 = 1;

/// What a client said it wants and can do, given to
/// [`SelectCertificate::select`](crate::SelectCertificate::select).
///
/// Lists are in the client's order of preference and hold whatever it sent, unknown numbers and
/// those of GREASE (RFC 8701) included. Nothing in it is authenticated yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHello<'a> {
    server_name: Option<String>,
    legacy_version: u16,
    cipher_suites: &'a [u8],
    versions: Option<&'a [u8]>,
    signature_schemes: &'a [u8],
    alpn_protocols: &'a [u8],
}

impl<'a> ClientHello<'a> {
    /// The host name that the client asks for (SNI, RFC 6066 section 3), in lower case. An IP
    /// address isn't a host name and counts as none.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The application protocols it offers (ALPN, RFC 7301); none if it offers none.
    pub fn alpn_protocols(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = Reader(self.alpn_protocols);
        core::iter::from_fn(move || rest.vec8())
    }

    /// The signatures that it can verify (`signature_algorithms`, RFC 8446 section 4.2.3).
    pub fn signature_schemes(&self) -> impl Iterator<Item = SignatureScheme> + use<'a> {
        numbers(self.signature_schemes).map(SignatureScheme)
    }

    /// Its cipher suites, by their numbers in IANA's registry.
    pub fn cipher_suites(&self) -> impl Iterator<Item = u16> + use<'a> {
        numbers(self.cipher_suites)
    }

    /// The versions that it offers, as on the wire: 0x0304 for TLS 1.3, 0x0303 for TLS 1.2. A
    /// client without the extension (RFC 8446, section 4.2.1) offers one, and all below.
    pub fn versions(&self) -> impl Iterator<Item = u16> + use<'a> {
        let only = self.versions.is_none().then_some(self.legacy_version);
        numbers(self.versions.unwrap_or_default()).chain(only)
    }

    /// Whether TLS 1.1 is the newest that it knows. The TLS library would look at its signature schemes
    /// first, which such a client doesn't name, and complain of them.
    pub(crate) fn is_of_an_old_version(&self) -> bool {
        const TLS_1_2: u16 = 0x0303;
        self.versions().all(|version| version < TLS_1_2)
    }

    pub(crate) fn into_server_name(self) -> Option<String> {
        self.server_name
    }

    /// Takes a message apart, its header included. `None` if it is no well-formed ClientHello.
    pub(crate) fn parse(message: &'a [u8]) -> Option<Self> {
        let (&[kind, high, middle, low], body) = message.split_first_chunk()?;
        if (kind, message_len(high, middle, low)) != (CLIENT_HELLO, message.len()) {
            return None;
        }
        let mut reader = Reader(body);
        let mut hello = Self {
            server_name: None,
            legacy_version: reader.u16()?,
            cipher_suites: &[],
            versions: None,
            signature_schemes: &[],
            alpn_protocols: &[],
        };
        reader.take(32)?; // random
        reader.vec8().filter(|session_id| session_id.len() <= 32)?;
        hello.cipher_suites = reader.vec16().filter(is_list_of_numbers)?;
        reader.vec8().filter(|compression_methods| !compression_methods.is_empty())?;
        if !reader.is_empty() {
            let mut extensions = Reader(reader.vec16()?);
            while !extensions.is_empty() {
                hello.take_extension(extensions.u16()?, extensions.vec16()?)?;
            }
        }
        reader.is_empty().then_some(hello)
    }

    fn take_extension(&mut self, number: u16, data: &'a [u8]) -> Option<()> {
        const SERVER_NAME: u16 = 0;
        const SIGNATURE_ALGORITHMS: u16 = 13;
        const ALPN: u16 = 16;
        const SUPPORTED_VERSIONS: u16 = 43;
        let mut reader = Reader(data);
        // A second one of a kind is an error (RFC 8446, section 4.2): what is filled must be empty.
        match number {
            SERVER_NAME if self.server_name.is_none() => {
                self.server_name = host_name(reader.vec16().filter(|list| !list.is_empty())?)?;
            }
            SIGNATURE_ALGORITHMS if self.signature_schemes.is_empty() => {
                self.signature_schemes = reader.vec16().filter(is_list_of_numbers)?;
            }
            ALPN if self.alpn_protocols.is_empty() => {
                self.alpn_protocols = reader.vec16().filter(is_list_of_protocols)?;
            }
            SUPPORTED_VERSIONS if self.versions.is_none() => {
                self.versions = Some(reader.vec8().filter(is_list_of_numbers)?);
            }
            SERVER_NAME | SIGNATURE_ALGORITHMS | ALPN | SUPPORTED_VERSIONS => return None,
            _ => return Some(()),
        }
        reader.is_empty().then_some(())
    }
}

/// The one host name of a `ServerNameList`: `Some(None)` if it is an IP address, which clients
/// should not send and do, and `None` if the list is against the rules.
fn host_name(list: &[u8]) -> Option<Option<String>> {
    const HOST_NAME: u8 = 0;
    let mut list = Reader(list);
    let mut found = None;
    while !list.is_empty() {
        if list.u8()? != HOST_NAME {
            // Of another type not even the length is known.
            break;
        }
        let name = match ServerName::try_from(list.vec16()?) {
            Ok(ServerName::DnsName(name)) => Some(name.as_ref().to_ascii_lowercase()),
            Ok(ServerName::IpAddress(_)) => None,
            _ => return None,
        };
        if found.replace(name).is_some() {
            return None;
        }
    }
    found
}

fn is_list_of_numbers(list: &&[u8]) -> bool {
    !list.is_empty() && list.len().is_multiple_of(2)
}

fn is_list_of_protocols(list: &&[u8]) -> bool {
    let mut rest = Reader(list);
    while !rest.is_empty() {
        if rest.vec8().is_none_or(<[u8]>::is_empty) {
            return false;
        }
    }
    !list.is_empty()
}

fn numbers<'a>(list: &'a [u8]) -> impl Iterator<Item = u16> + use<'a> {
    list.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
}

/// What is left to read. Every method takes from the front, and `None` means that too little is
/// left.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// Bytes behind a length of one byte.
    fn vec8(&mut self) -> Option<&'a [u8]> {
        let len = self.u8()?;
        self.take(usize::from(len))
    }

    /// Bytes behind a length of two bytes.
    fn vec16(&mut self) -> Option<&'a [u8]> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }
}

/// Watches received bytes until a whole ClientHello is among them, looking at each record once: a
/// client may cut the message into thousands of them.
#[derive(Debug, Default)]
pub(crate) struct HelloScan {
    /// Where the first record begins that isn't complete yet.
    at: usize,
    /// Bytes of the message in the records before that, and the first of them.
    collected_len: usize,
    header: [u8; MESSAGE_HEADER_LEN],
}

/// What the received bytes are so far.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard<'a> {
    /// The beginning of a ClientHello, as far as can be told.
    Incomplete,
    /// They begin with this message, its header included.
    Message(Cow<'a, [u8]>),
    /// Something else. Let the TLS library say what is wrong with it.
    NotAHello,
}

impl HelloScan {
    /// `received` is everything that came so far, from the connection's first byte on.
    pub(crate) fn hear<'a>(&mut self, received: &'a [u8]) -> Heard<'a> {
        loop {
            let record = match next_record(&received[self.at..]) {
                Ok(Some(record)) => record,
                Ok(None) => return Heard::Incomplete,
                Err(NotAHandshake) => return Heard::NotAHello,
            };
            for (to, from) in self.header.iter_mut().skip(self.collected_len).zip(record) {
                *to = *from;
            }
            self.collected_len += record.len();
            self.at += RECORD_HEADER_LEN + record.len();

            let [kind, high, middle, low] = self.header;
            if kind != CLIENT_HELLO {
                return Heard::NotAHello;
            }
            let len = message_len(high, middle, low);
            if self.collected_len >= len {
                return Heard::Message(collect(received, len));
            }
        }
    }
}

/// The length of a handshake message, its header included, by the bytes of its header.
fn message_len(high: u8, middle: u8, low: u8) -> usize {
    MESSAGE_HEADER_LEN + u32::from_be_bytes([0, high, middle, low]) as usize
}

struct NotAHandshake;

/// The payload of the record that `bytes` begin with, if it is complete.
fn next_record(bytes: &[u8]) -> Result<Option<&[u8]>, NotAHandshake> {
    let is_handshake = match bytes {
        [] => true,
        [kind] => *kind == HANDSHAKE_RECORD,
        [kind, major, ..] => (*kind, *major) == (HANDSHAKE_RECORD, 3),
    };
    if !is_handshake {
        return Err(NotAHandshake);
    }
    let Some((&[.., high, low], rest)) = bytes.split_first_chunk::<RECORD_HEADER_LEN>() else {
        return Ok(None);
    };
    let len = usize::from(u16::from_be_bytes([high, low]));
    match len {
        // No part of a handshake message is empty (RFC 8446, section 5.1).
        1..=MAX_FRAGMENT_LEN => Ok(rest.get(..len)),
        _ => Err(NotAHandshake),
    }
}

/// The first `len` bytes of the message in these records. Nearly always it lies there in one piece.
fn collect(received: &[u8], len: usize) -> Cow<'_, [u8]> {
    let mut records = received;
    let mut message = Vec::new();
    while let Ok(Some(record)) = next_record(records) {
        if message.is_empty() && record.len() >= len {
            return Cow::Borrowed(&record[..len]);
        }
        message.extend_from_slice(record);
        if message.len() >= len {
            break;
        }
        records = &records[RECORD_HEADER_LEN + record.len()..];
    }
    message.truncate(len);
    Cow::Owned(message)
}

#[cfg(test)]
mod tests;
