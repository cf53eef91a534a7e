//! `application/x-www-form-urlencoded`: what a page's form posts, and what stands in a query.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::field;
use super::uri::{DecodeError, form_decode};

/// The names and values of a form or a query, decoded.
///
/// ```
/// use esp_http_server::proto::form::Form;
///
/// let form = Form::parse(b"name=J%C3%BCrgen&topping=ham&topping=extra+cheese")?;
/// assert_eq!(form.value("name"), Some("Jürgen"));
/// assert_eq!(form.values("topping").collect::<Vec<_>>(), ["ham", "extra cheese"]);
/// assert_eq!(form.pairs().count(), 3);
/// # Ok::<(), esp_http_server::proto::uri::DecodeError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Form {
    /// All names and values behind each other.
    text: String,
    ends: Vec<Ends>,
}

/// Where in the text a name and its value end; they start where those before them have ended.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Ends {
    name: usize,
    value: usize,
}

impl Form {
    /// Decodes a form as it was sent (URL standard, section 5.1): pairs between `&`, each with a `=`
    /// between name and value, where `+` is a space and `%XX` a byte. A name without `=` has an empty
    /// value; an empty pair is none.
    ///
    /// It holds two numbers for each pair besides the text: up to eight times the length of `encoded`.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], for one bad name or value among many too: a form is taken whole or not at all.
    pub fn parse(encoded: &[u8]) -> Result<Self, DecodeError> {
        let mut form = Self::default();
        for pair in encoded.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
            let pair = core::str::from_utf8(pair).map_err(|_| DecodeError::NotUtf8)?;
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            form.text += &form_decode(name)?;
            let name = form.text.len();
            form.text += &form_decode(value)?;
            form.ends.push(Ends { name, value: form.text.len() });
        }
        Ok(form)
    }

    /// The value of the first pair of that name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    /// The values of all pairs of that name, in the order in which they came: of checkboxes, say.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs().filter(move |(candidate, _)| *candidate == name).map(|(_, value)| value)
    }

    /// All names and values, in the order in which they came.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut start = 0;
        self.ends.iter().map(move |ends| {
            let name = &self.text[start..ends.name];
            start = ends.value;
            (name, &self.text[ends.name..ends.value])
        })
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.pairs()).finish()
    }
}

/// Whether a `Content-Type` is that of such forms, whatever its parameters: the form says nothing of
/// its charset, which is UTF-8.
pub fn is_form(content_type: &[u8]) -> bool {
    let media_type = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
    field::trim(media_type).eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn a_form_is_decoded() {
        let form = Form::parse(b"a=1&b=%26%3D+%2b&a=2&&empty=&bare&=nameless&c==&%61=3&").unwrap();
        let pairs: Vec<_> = form.pairs().collect();
        assert_eq!(
            pairs,
            [
                ("a", "1"),
                ("b", "&= +"),
                ("a", "2"),
                ("empty", ""),
                ("bare", ""),
                ("", "nameless"),
                ("c", "="),
                ("a", "3")
            ]
        );
        assert_eq!(
            (form.value("a"), form.value("A"), form.value("bare")),
            (Some("1"), None, Some(""))
        );
        assert_eq!(form.values("a").collect::<Vec<_>>(), ["1", "2", "3"]);
        assert_eq!(form.values("missing").count(), 0);
    }

    #[test]
    fn nothing_is_an_empty_form() {
        for empty in ["", "&", "&&&"] {
            assert_eq!(Form::parse(empty.as_bytes()), Ok(Form::default()), "{empty:?}");
        }
    }

    #[test]
    fn one_bad_pair_spoils_the_form() {
        for (bad, error) in [
            (&b"a=%"[..], DecodeError::InvalidEscape),
            (b"a=%4", DecodeError::InvalidEscape),
            (b"a=1&%zz=2", DecodeError::InvalidEscape),
            (b"%=", DecodeError::InvalidEscape),
            (b"a=%ff", DecodeError::NotUtf8),
            (b"a=\xff", DecodeError::NotUtf8),
            (b"\xc3=\xa9", DecodeError::NotUtf8),
            (b"a=%C3&b=%A9", DecodeError::NotUtf8),
        ] {
            assert_eq!(Form::parse(bad), Err(error), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn a_decoded_separator_separates_nothing() {
        let form = Form::parse(b"a=1%26b%3D2%00%0d%0a").unwrap();
        assert_eq!(form.pairs().collect::<Vec<_>>(), [("a", "1&b=2\0\r\n")]);
    }

    #[test]
    fn the_type_of_a_form_may_have_parameters() {
        for (content_type, expected) in [
            ("application/x-www-form-urlencoded", true),
            ("Application/X-WWW-Form-Urlencoded ; charset=UTF-8", true),
            ("application/x-www-form-urlencoded;", true),
            ("application/x-www-form-urlencodedx", false),
            ("multipart/form-data; boundary=application/x-www-form-urlencoded", false),
            ("text/plain", false),
            ("", false),
        ] {
            assert_eq!(is_form(content_type.as_bytes()), expected, "{content_type}");
        }
    }
}
