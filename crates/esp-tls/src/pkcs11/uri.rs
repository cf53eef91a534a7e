//! Which key on which token (RFC 7512).

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use zeroize::Zeroizing;

use crate::config_error::{ConfigError, ConfigProblem, Input};

/// A PKCS #11 URI, or the same put together by hand.
///
/// What is understood: `token`, `serial`, `slot-id`, `object`, `id`, `type=private`; and behind the
/// `?`: `module-path`, `pin-value`. Its `Debug` output leaves the PIN out.
///
/// ```
/// use esp_tls::Pkcs11Uri;
///
/// let uri = Pkcs11Uri::new("/usr/lib/softhsm/libsofthsm2.so")
///     .token("gateway")
///     .object_label("server")
///     .user_pin("1234");
/// ```
#[derive(Clone, Default)]
pub struct Pkcs11Uri {
    module_path: Option<String>,
    token: Option<String>,
    serial: Option<String>,
    slot_id: Option<u64>,
    object: Option<String>,
    id: Option<Vec<u8>>,
    pin: Option<Zeroizing<String>>,
}

impl Pkcs11Uri {
    /// Any key on any token of this module, a shared library.
    pub fn new(module_path: impl Into<String>) -> Self {
        Self { module_path: Some(module_path.into()), ..Self::default() }
    }

    /// On the token with this label.
    pub fn token(self, label: impl Into<String>) -> Self {
        Self { token: Some(label.into()), ..self }
    }

    /// The key with this label (`CKA_LABEL`).
    pub fn object_label(self, label: impl Into<String>) -> Self {
        Self { object: Some(label.into()), ..self }
    }

    /// The key with this id (`CKA_ID`).
    pub fn object_id(self, id: impl Into<Vec<u8>>) -> Self {
        Self { id: Some(id.into()), ..self }
    }

    /// The user's PIN, without which most tokens show no private keys.
    pub fn user_pin(self, pin: impl Into<String>) -> Self {
        Self { pin: Some(Zeroizing::new(pin.into())), ..self }
    }

    pub(super) fn module_path(&self) -> Option<&str> {
        self.module_path.as_deref()
    }

    pub(super) fn object(&self) -> Option<&str> {
        self.object.as_deref()
    }

    pub(super) fn id(&self) -> Option<&[u8]> {
        self.id.as_deref()
    }

    pub(super) fn pin(&self) -> Option<&str> {
        self.pin.as_ref().map(|pin| pin.as_str())
    }

    /// Whether this token is meant.
    pub(super) fn is_token(&self, label: &str, serial: &str, slot_id: u64) -> bool {
        self.token.as_ref().is_none_or(|wanted| wanted == label)
            && self.serial.as_ref().is_none_or(|wanted| wanted == serial)
            && self.slot_id.is_none_or(|wanted| wanted == slot_id)
    }

    fn set(&mut self, name: &str, value: Vec<u8>) -> Result<(), String> {
        if name == "id" {
            self.id = Some(value);
            return Ok(());
        }
        let value = String::from_utf8(value).map_err(|_| alloc::format!("{name} isn't UTF-8"))?;
        match name {
            "token" => self.token = Some(value),
            "serial" => self.serial = Some(value),
            "slot-id" => {
                self.slot_id = Some(value.parse().map_err(|_| "slot-id isn't a number")?);
            }
            "object" => self.object = Some(value),
            "type" if value == "private" => {}
            "module-path" => self.module_path = Some(value),
            "pin-value" => self.pin = Some(Zeroizing::new(value)),
            // Whoever wrote it means something by it; another key than theirs would be found.
            other => return Err(alloc::format!("{other} isn't supported here")),
        }
        Ok(())
    }
}

impl FromStr for Pkcs11Uri {
    type Err = ConfigError;

    fn from_str(uri: &str) -> Result<Self, ConfigError> {
        parse(uri).map_err(|detail| ConfigError {
            input: Input::PrivateKey,
            problem: ConfigProblem::Device(alloc::format!("bad PKCS #11 URI: {detail}")),
        })
    }
}

fn parse(uri: &str) -> Result<Pkcs11Uri, String> {
    let attributes = uri.strip_prefix("pkcs11:").ok_or("it doesn't begin with pkcs11:")?;
    let (path, query) = attributes.split_once('?').unwrap_or((attributes, ""));
    let mut parsed = Pkcs11Uri::default();
    let mut seen: Vec<&str> = Vec::new();
    for attribute in path.split(';').chain(query.split('&')).filter(|part| !part.is_empty()) {
        let (name, value) = attribute.split_once('=').ok_or("an attribute has no value")?;
        if seen.contains(&name) {
            return Err(alloc::format!("{name} is there twice"));
        }
        seen.push(name);
        parsed.set(name, percent_decoded(value)?)?;
    }
    Ok(parsed)
}

fn percent_decoded(value: &str) -> Result<Vec<u8>, String> {
    let mut rest = value.as_bytes();
    let mut decoded = Vec::with_capacity(rest.len());
    while let [first, tail @ ..] = rest {
        if *first != b'%' {
            decoded.push(*first);
            rest = tail;
            continue;
        }
        let digits = tail.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| core::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(byte.ok_or_else(|| "a % without two hexadecimal digits".to_string())?);
        rest = &tail[2..];
    }
    Ok(decoded)
}

impl fmt::Debug for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { module_path, token, serial, slot_id, object, id, pin } = self;
        f.debug_struct("Pkcs11Uri")
            .field("module_path", module_path)
            .field("token", token)
            .field("serial", serial)
            .field("slot_id", slot_id)
            .field("object", object)
            .field("id", id)
            .field("has_pin", &pin.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_says_all_of_it() {
        let uri: Pkcs11Uri =
            "pkcs11:token=My%20Token;serial=12ab;slot-id=7;object=server;id=%01%ff;\
            type=private?module-path=/usr/lib/x.so&pin-value=12%3B34"
                .parse()
                .unwrap();
        assert_eq!(uri.module_path(), Some("/usr/lib/x.so"));
        assert_eq!((uri.object(), uri.id()), (Some("server"), Some(&[1, 0xFF][..])));
        assert_eq!(uri.pin(), Some("12;34"));
        assert!(uri.is_token("My Token", "12ab", 7));
        assert!(!uri.is_token("My token", "12ab", 7));
        assert!(!uri.is_token("My Token", "12ab", 8));
        assert!(!uri.is_token("My Token", "12aB", 7));
    }

    #[test]
    fn what_is_left_out_fits_everything() {
        let uri: Pkcs11Uri = "pkcs11:".parse().unwrap();
        assert!(uri.is_token("any", "", 0));
        assert_eq!(
            (uri.module_path(), uri.object(), uri.id(), uri.pin()),
            (None, None, None, None)
        );
    }

    #[test]
    fn mistakes_are_named() {
        for (uri, mistake) in [
            ("token=x", "it doesn't begin with pkcs11:"),
            ("pkcs11:token", "an attribute has no value"),
            ("pkcs11:token=a;token=b", "token is there twice"),
            ("pkcs11:object=%2", "a % without two hexadecimal digits"),
            ("pkcs11:object=%+1", "a % without two hexadecimal digits"),
            ("pkcs11:object=%ff", "object isn't UTF-8"),
            ("pkcs11:slot-id=x", "slot-id isn't a number"),
            ("pkcs11:type=cert", "type isn't supported here"),
            ("pkcs11:?pin-source=file:/etc/pin", "pin-source isn't supported here"),
        ] {
            let error = uri.parse::<Pkcs11Uri>().unwrap_err();
            let expected = alloc::format!("server key: bad PKCS #11 URI: {mistake}");
            assert_eq!(error.to_string(), expected, "{uri}");
        }
    }

    #[test]
    fn debug_output_leaves_the_pin_out() {
        let uri = Pkcs11Uri::new("/x.so").token("t").object_id([1]).user_pin("987654");
        let text = alloc::format!("{uri:?}");
        assert!(!text.contains("987654") && text.contains("has_pin: true"), "{text}");
    }
}
