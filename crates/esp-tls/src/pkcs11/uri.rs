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
/// `?`: `module-path`, and `pin-source` or `pin-value`. Its `Debug` output leaves the PIN out.
///
/// A PIN in a URI ends up wherever URIs do, in logs and in lists of processes. `pin-source` names the
/// file instead that holds it: `file:/etc/gateway/pin`, or just its absolute path. It is read at each
/// login, less the end of its line. For a PIN out of the environment, or from a person, there is
/// [`user_pin`](Self::user_pin).
///
/// ```
/// use esp_tls::Pkcs11Uri;
///
/// let uri = Pkcs11Uri::new("/usr/lib/softhsm/libsofthsm2.so")
///     .token("gateway")
///     .object_label("server")
///     .user_pin("1234");
///
/// # fn demo() -> Result<(), Box<dyn std::error::Error>> {
/// let from_a_file: Pkcs11Uri = "pkcs11:token=gateway;object=server\
///     ?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/gateway/pin".parse()?;
/// let from_the_environment = "pkcs11:token=gateway;object=server\
///     ?module-path=/usr/lib/softhsm/libsofthsm2.so"
///     .parse::<Pkcs11Uri>()?
///     .user_pin(std::env::var("GATEWAY_PIN")?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Pkcs11Uri {
    module_path: Option<String>,
    token: Option<String>,
    serial: Option<String>,
    slot_id: Option<u64>,
    object: Option<String>,
    id: Option<Vec<u8>>,
    pin: Option<Pin>,
}

/// Where the user's PIN comes from.
#[derive(Clone)]
enum Pin {
    Value(Zeroizing<String>),
    /// The path of a file.
    File(String),
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
        Self { pin: Some(Pin::Value(Zeroizing::new(pin.into()))), ..self }
    }

    /// The same, read from this file at each login.
    pub fn user_pin_file(self, path: impl Into<String>) -> Self {
        Self { pin: Some(Pin::File(path.into())), ..self }
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

    pub(super) fn has_pin(&self) -> bool {
        self.pin.is_some()
    }

    /// The user's PIN, as it is now.
    pub(super) fn pin(&self) -> Result<Option<Zeroizing<String>>, String> {
        match &self.pin {
            None => Ok(None),
            Some(Pin::Value(pin)) => Ok(Some(pin.clone())),
            Some(Pin::File(path)) => read_pin(path).map(Some),
        }
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
            "pin-value" | "pin-source" if self.has_pin() => {
                return Err("pin-value and pin-source are both there".into());
            }
            "pin-value" => self.pin = Some(Pin::Value(Zeroizing::new(value))),
            "pin-source" => self.pin = Some(Pin::File(pin_file(&value)?.into())),
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

/// The path in a `pin-source`: an absolute one, or a `file:` URI of this host (RFC 8089). Programs to
/// run (`|…`) and other schemes are nothing for a server's start.
fn pin_file(source: &str) -> Result<&str, String> {
    let path = source.strip_prefix("file:").unwrap_or(source);
    let path = match path.strip_prefix("//") {
        Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
        None => path,
    };
    match path.starts_with('/') && !path.starts_with("//") {
        true => Ok(path),
        false => Err("pin-source isn't the absolute path of a file".into()),
    }
}

fn read_pin(path: &str) -> Result<Zeroizing<String>, String> {
    let read = std::fs::read_to_string(path).map_err(|error| alloc::format!("{path}: {error}"))?;
    let text = Zeroizing::new(read);
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Zeroizing::new(line.strip_suffix('\r').unwrap_or(line).into()))
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
        assert_eq!(pin(&uri).unwrap(), "12;34");
        assert!(uri.is_token("My Token", "12ab", 7));
        assert!(!uri.is_token("My token", "12ab", 7));
        assert!(!uri.is_token("My Token", "12ab", 8));
        assert!(!uri.is_token("My Token", "12aB", 7));
    }

    fn pin(uri: &Pkcs11Uri) -> Result<String, String> {
        uri.pin().map(|pin| pin.map_or(String::new(), |pin| pin.to_string()))
    }

    #[test]
    fn a_pin_is_read_from_its_file_whenever_it_is_needed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        for source in ["", "file:", "file://", "file://localhost"] {
            let uri: Pkcs11Uri =
                alloc::format!("pkcs11:?pin-source={source}{path}").parse().unwrap();
            for (text, read) in
                [("4711", "4711"), ("47 11\n", "47 11"), ("4712\r\n", "4712"), ("1\n\n", "1\n")]
            {
                std::fs::write(path, text).unwrap();
                assert_eq!(pin(&uri).unwrap(), read, "{source}");
            }
        }
        let error = pin(&Pkcs11Uri::default().user_pin_file("/nowhere/pin")).unwrap_err();
        assert!(error.starts_with("/nowhere/pin: "), "{error}");
    }

    #[test]
    fn what_is_left_out_fits_everything() {
        let uri: Pkcs11Uri = "pkcs11:".parse().unwrap();
        assert!(uri.is_token("any", "", 0));
        assert_eq!((uri.module_path(), uri.object(), uri.id()), (None, None, None));
        assert!(!uri.has_pin() && pin(&uri).unwrap().is_empty());
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
            ("pkcs11:?pin-source=pin", "pin-source isn't the absolute path of a file"),
            ("pkcs11:?pin-source=|/bin/ask", "pin-source isn't the absolute path of a file"),
            ("pkcs11:?pin-source=https://a/b", "pin-source isn't the absolute path of a file"),
            ("pkcs11:?pin-source=file://a/b", "pin-source isn't the absolute path of a file"),
            ("pkcs11:?pin-value=1&pin-source=/p", "pin-value and pin-source are both there"),
            ("pkcs11:?pin-source=/p&pin-value=1", "pin-value and pin-source are both there"),
            ("pkcs11:?pin-value=1&pin-value=2", "pin-value is there twice"),
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
