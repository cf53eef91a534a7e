//! Who a request says it is from: `Authorization: Basic` (RFC 7617), and how secrets are compared.

use alloc::string::String;
use core::fmt;

use base64ct::{Base64, Encoding};
use subtle::{Choice, ConstantTimeEq};

/// A user and a password, as the client sent them. They are in plain text on the network unless the
/// connection has TLS.
///
/// ```
/// use esp_http_server::proto::auth::BasicAuth;
///
/// let auth = BasicAuth::parse(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==").unwrap();
/// assert_eq!((auth.user(), auth.password()), ("Aladdin", "open sesame"));
/// assert!(auth.matches("Aladdin", "open sesame"));
/// assert!(!auth.matches("Aladdin", "open"));
/// ```
#[derive(Clone)]
pub struct BasicAuth {
    text: String,
    /// Where the colon between the two stands.
    colon: usize,
}

impl BasicAuth {
    /// Reads the value of an `Authorization` field. `None` for another scheme, and for what breaks the
    /// rules of this one: Base64 with its padding, UTF-8, a colon, no control characters.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let value = core::str::from_utf8(value).ok()?;
        let (scheme, encoded) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let text = Base64::decode_vec(encoded.trim_start_matches(' ')).ok()?;
        let text = String::from_utf8(text).ok()?;
        let colon = text.find(':')?;
        let is_text = !text.chars().any(char::is_control);
        is_text.then_some(Self { text, colon })
    }

    /// The user; what stands before the first colon.
    pub fn user(&self) -> &str {
        &self.text[..self.colon]
    }

    /// The password, which may have colons.
    pub fn password(&self) -> &str {
        &self.text[self.colon + 1..]
    }

    /// Whether they are these, both and whole. How long that takes says nothing of which byte was
    /// wrong, nor of whether it was one of the user or of the password.
    pub fn matches(&self, user: &str, password: &str) -> bool {
        let user = is_same(self.user().as_bytes(), user.as_bytes());
        let password = is_same(self.password().as_bytes(), password.as_bytes());
        (user & password).into()
    }
}

impl fmt::Debug for BasicAuth {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicAuth").field("user", &self.user()).finish_non_exhaustive()
    }
}

/// Whether what a client has sent is the secret, in a time that depends on the length of what was sent
/// and on nothing else: for tokens, keys and passwords, which `==` would let others guess byte by byte.
///
/// ```
/// use esp_http_server::proto::auth::secrets_match;
///
/// assert!(secrets_match(b"Bearer 31d4d96e407aad42", b"Bearer 31d4d96e407aad42"));
/// assert!(!secrets_match(b"Bearer 31d4", b"Bearer 31d4d96e407aad42"));
/// ```
pub fn secrets_match(sent: &[u8], secret: &[u8]) -> bool {
    is_same(sent, secret).into()
}

fn is_same(sent: &[u8], secret: &[u8]) -> Choice {
    let mut is_same = sent.len().ct_eq(&secret.len());
    for (at, byte) in sent.iter().enumerate() {
        // Beyond the secret's end anything will do: the lengths have decided.
        is_same &= byte.ct_eq(secret.get(at).unwrap_or(&0));
    }
    is_same
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn basic(text: &[u8]) -> Option<BasicAuth> {
        BasicAuth::parse(format!("Basic {}", Base64::encode_string(text)).as_bytes())
    }

    #[test]
    fn only_the_whole_user_and_password_match() {
        for (user, password, matches) in [
            ("admin", "secret", true),
            ("", "", false),
            ("admin", "", false),
            ("", "secret", false),
            ("admin", "secre", false),
            ("admi", "secret", false),
            ("admin", "secrets", false),
            ("admins", "secret", false),
            ("admin", "Secret", false),
            ("Admin", "secret", false),
            ("secret", "admin", false),
            ("admin", "secret\u{20}", false),
            ("adminsecret", "", false),
            ("admin:secret", "", false),
        ] {
            let auth = basic(format!("{user}:{password}").as_bytes()).unwrap();
            assert_eq!(auth.matches("admin", "secret"), matches, "{user:?} {password:?}");
        }
        assert!(!basic(b"admin:secret").unwrap().matches("admin", ""), "no password is none");
        assert!(basic(b":").unwrap().matches("", ""));
    }

    #[test]
    fn the_first_colon_separates() {
        let auth = basic("jürgen:a:b".as_bytes()).unwrap();
        assert_eq!((auth.user(), auth.password()), ("jürgen", "a:b"));
    }

    #[test]
    fn the_scheme_is_basic_in_any_case_of_letters() {
        for good in ["Basic YTpi", "basic YTpi", "BASIC  YTpi"] {
            assert!(BasicAuth::parse(good.as_bytes()).is_some(), "{good:?}");
        }
        for other in ["Bearer YTpi", "BasicYTpi", "Basic", "", "Basic\tYTpi", "Digest YTpi"] {
            assert!(BasicAuth::parse(other.as_bytes()).is_none(), "{other:?}");
        }
    }

    #[test]
    fn what_is_no_base64_of_a_user_and_a_password_is_nothing() {
        for bad in
            ["", "YTp", "YTpi=", "Y Tpi", "YTpi YTpi", "YTpi,", "YTo", "_-==", "YT=i", "===="]
        {
            assert!(BasicAuth::parse(format!("Basic {bad}").as_bytes()).is_none(), "{bad:?}");
        }
        for bad in [&b"no colon"[..], b"a\0:b", b"a:b\r\n", b"a:\x7f", b"\xff:b", b""] {
            assert!(basic(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_password_is_not_in_what_is_logged() {
        let text = format!("{:?}", basic(b"admin:secret").unwrap());
        assert!(text.contains("admin") && !text.contains("secret"), "{text}");
    }

    #[test]
    fn secrets_match_only_as_a_whole() {
        for (sent, matches) in
            [("token", true), ("toke", false), ("tokens", false), ("", false), ("Token", false)]
        {
            assert_eq!(secrets_match(sent.as_bytes(), b"token"), matches, "{sent:?}");
        }
        assert!(!secrets_match(b"\0", b""), "a missing byte is none");
        assert!(secrets_match(b"", b""));
    }
}
