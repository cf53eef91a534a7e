//! URI templates: what a URI handler is registered for, taken apart.
//!
//! ```text
//! /users/{id}/posts/?*
//! └────────┬──────┘└┬┘
//!   whole segments  tail: from the `/` of the segment that the wildcard stands in
//! ```

use core::cmp::Reverse;
use core::fmt;

use super::{has_valid_escapes, is_target_byte};

/// A template that was found valid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Template<'t> {
    /// Whole segments, each behind its `/`.
    whole: &'t str,
    tail: Option<Tail<'t>>,
    has_parameters: bool,
}

/// One whole segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Segment<'t> {
    /// Just this text; it may be empty.
    Literal(&'t str),
    /// Any text but none.
    Parameter,
}

/// The end of a template that has a wildcard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail<'t> {
    /// As it is written; matches what is left of a path before the segment that it begins with.
    pub(crate) text: &'t str,
    pub(crate) wildcard: Wildcard,
}

/// How a template ends. What is more specific comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wildcard {
    /// `?`
    Optional,
    /// `*`
    Open,
    /// `?*` or `*?`
    OptionalOpen,
}

/// Why a text is no template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TemplateError {
    NoSlash,
    Query,
    Character,
    Escape,
    Brace,
    NoName,
    SameName,
}

impl<'t> Template<'t> {
    pub(crate) fn parse(uri: &'t str) -> Result<Self, TemplateError> {
        if !uri.starts_with('/') && uri != "*" {
            return Err(TemplateError::NoSlash);
        }
        let wildcard = Wildcard::at_end_of(uri);
        let fixed = &uri[..uri.len() - wildcard.map_or(0, Wildcard::len)];
        if fixed.contains('?') {
            return Err(TemplateError::Query);
        }
        if !fixed.bytes().all(is_target_byte) {
            return Err(TemplateError::Character);
        }
        if !has_valid_escapes(fixed.as_bytes()) {
            return Err(TemplateError::Escape);
        }
        let tail_start = match wildcard {
            Some(_) => fixed.rfind('/').unwrap_or(0),
            None => uri.len(),
        };
        let (whole, tail) = uri.split_at(tail_start);
        if tail.contains(['{', '}']) {
            return Err(TemplateError::Brace);
        }
        let has_parameters = check_parameters(whole)?;
        Ok(Self {
            whole,
            tail: wildcard.map(|wildcard| Tail { text: tail, wildcard }),
            has_parameters,
        })
    }

    /// The one path that it matches, which is itself; `None` if it matches others.
    pub(crate) fn as_exact(&self) -> Option<&'t str> {
        (self.tail.is_none() && !self.has_parameters).then_some(self.whole)
    }

    pub(crate) fn has_parameters(&self) -> bool {
        self.has_parameters
    }

    /// The segments before the tail.
    pub(crate) fn segments(&self) -> impl Iterator<Item = Segment<'t>> + use<'t> {
        self.whole.split('/').skip(1).map(|segment| match parameter_name(segment) {
            Some(_) => Segment::Parameter,
            None => Segment::Literal(segment),
        })
    }

    pub(crate) fn tail(&self) -> Option<Tail<'t>> {
        self.tail
    }
}

/// What stands in `path` for the parameter `name` of the template `uri`, which matches it: each
/// parameter is a whole segment, so it has the same place in both.
pub(crate) fn parameter<'p>(uri: &str, name: &str, path: &'p str) -> Option<&'p str> {
    let place = uri.split('/').position(|segment| parameter_name(segment) == Some(name))?;
    path.split('/').nth(place)
}

impl<'t> Tail<'t> {
    /// What it says, however it is spelled; of two tails of the same segment, the more specific one
    /// has the smaller key. That is the one with more text; with as much, the one that matches
    /// less. Two may be alike in both and still match the same path, as `/ab?` and `/ac?` do with
    /// `/a`: then the text decides, so that it is not the order in which they were registered.
    pub(crate) fn key(&self) -> (Reverse<usize>, Wildcard, &'t str) {
        let fixed = &self.text[..self.text.len() - self.wildcard.len()];
        (Reverse(fixed.len()), self.wildcard, fixed)
    }
}

impl Wildcard {
    fn at_end_of(uri: &str) -> Option<Self> {
        match uri.as_bytes() {
            [.., b'?', b'*'] | [.., b'*', b'?'] => Some(Self::OptionalOpen),
            [.., b'*'] => Some(Self::Open),
            [.., b'?'] => Some(Self::Optional),
            _ => None,
        }
    }

    fn len(self) -> usize {
        match self {
            Self::Optional | Self::Open => 1,
            Self::OptionalOpen => 2,
        }
    }
}

/// Checks the parameters among whole segments; says whether there are any.
fn check_parameters(whole: &str) -> Result<bool, TemplateError> {
    let mut has_parameters = false;
    for (index, segment) in whole.split('/').enumerate() {
        if !segment.contains(['{', '}']) {
            continue;
        }
        let name = parameter_name(segment).ok_or(TemplateError::Brace)?;
        if name.contains(['{', '}']) {
            return Err(TemplateError::Brace);
        }
        let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if name.is_empty() || !name.bytes().all(is_name_byte) {
            return Err(TemplateError::NoName);
        }
        if whole.split('/').take(index).any(|before| before == segment) {
            return Err(TemplateError::SameName);
        }
        has_parameters = true;
    }
    Ok(has_parameters)
}

fn parameter_name(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::NoSlash => "it must start with `/`, or be `*`",
            Self::Query => "a `?` stands at the end only; the query is no part of it",
            Self::Character => "it has a character that no path has as it is: percent-encode it",
            Self::Escape => "a `%` is not followed by two hexadecimal digits",
            Self::Brace => {
                "a parameter is a whole segment, with nothing before or behind its braces"
            }
            Self::NoName => "a parameter needs a name of letters, digits, `_` and `-`",
            Self::SameName => "two parameters have the same name",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn parts(uri: &str) -> (Vec<&str>, Option<(&str, Wildcard)>) {
        let template = Template::parse(uri).unwrap();
        let segments = template.segments().map(|segment| match segment {
            Segment::Literal(text) => text,
            Segment::Parameter => "{}",
        });
        (segments.collect(), template.tail().map(|tail| (tail.text, tail.wildcard)))
    }

    #[test]
    fn a_template_is_segments_and_a_tail() {
        use Wildcard::*;
        for (uri, segments, tail) in [
            ("/", &[""][..], None),
            ("/a", &["a"], None),
            ("/a/", &["a", ""], None),
            ("//", &["", ""], None),
            ("/a/{id}/b", &["a", "{}", "b"], None),
            ("/{a}/{b-2}/", &["{}", "{}", ""], None),
            ("*", &[], Some(("*", Open))),
            ("/*", &[], Some(("/*", Open))),
            ("/?", &[], Some(("/?", Optional))),
            ("/a*", &[], Some(("/a*", Open))),
            ("/a/?*", &["a"], Some(("/?*", OptionalOpen))),
            ("/a/*?", &["a"], Some(("/*?", OptionalOpen))),
            ("/a/b?", &["a"], Some(("/b?", Optional))),
            ("/a/{id}/*", &["a", "{}"], Some(("/*", Open))),
            // Special at the end only.
            ("/a/*/b", &["a", "*", "b"], None),
            ("/a/**", &["a"], Some(("/**", Open))),
            ("/a%20b/%7Bid%7D", &["a%20b", "%7Bid%7D"], None),
        ] {
            assert_eq!(parts(uri), (segments.to_vec(), tail), "{uri}");
            let has_parameters = segments.contains(&"{}");
            let template = Template::parse(uri).unwrap();
            assert_eq!(template.has_parameters(), has_parameters, "{uri}");
            let is_exact = tail.is_none() && !has_parameters;
            assert_eq!(template.as_exact(), is_exact.then_some(uri), "{uri}");
        }
    }

    #[test]
    fn what_could_never_match_or_is_ambiguous_is_no_template() {
        use TemplateError::*;
        for (uri, error) in [
            ("", NoSlash),
            ("a", NoSlash),
            ("?", NoSlash),
            ("?*", NoSlash),
            ("**", NoSlash),
            ("{id}", NoSlash),
            ("http://a/b", NoSlash),
            ("/a?b", Query),
            ("/a??", Query),
            ("/a b", Character),
            ("/a#b", Character),
            ("/caf\u{e9}", Character),
            ("/a\r\nb", Character),
            ("/100%", Escape),
            ("/%zz/*", Escape),
            ("/{", Brace),
            ("/}", Brace),
            ("/a{id}", Brace),
            ("/{id}b", Brace),
            ("/{a}{b}", Brace),
            ("/{{id}}", Brace),
            ("/{id", Brace),
            ("/{a/b}", Brace),
            ("/{id}*", Brace),
            ("/{id}?", Brace),
            ("/a/x{*", Brace),
            ("/{}", NoName),
            ("/{a.b}", NoName),
            ("/{*rest}", NoName),
            ("/{id}/a/{id}", SameName),
        ] {
            assert_eq!(Template::parse(uri).err(), Some(error), "{uri}");
        }
    }

    #[test]
    fn the_more_specific_tail_comes_first() {
        let order = ["/abc?", "/abc*", "/ab?", "/ac?", "/ab*", "/ab?*", "/a*", "/*", "/?*"];
        for pair in order.windows(2) {
            let [first, second] = [pair[0], pair[1]].map(|uri| Template::parse(uri).unwrap());
            assert!(first.tail.unwrap().key() < second.tail.unwrap().key(), "{pair:?}");
        }
        let [one, other] = ["/a?*", "/a*?"].map(|uri| Template::parse(uri).unwrap().tail.unwrap());
        assert!(one.key() == other.key());
    }

    #[test]
    fn a_parameter_is_the_segment_at_its_place() {
        let uri = "/users/{id}/posts/{post}/*";
        let path = "/users/7/posts/a%2Fb/c/d";
        assert_eq!(parameter(uri, "id", path), Some("7"));
        assert_eq!(parameter(uri, "post", path), Some("a%2Fb"));
        assert_eq!(parameter(uri, "users", path), None);
        assert_eq!(parameter(uri, "", path), None);
    }
}
