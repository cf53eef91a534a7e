//! What extensions a client offers (RFC 6455, section 9.1).

use alloc::borrow::Cow;
use alloc::string::String;
use core::str;

use crate::proto::field;
use crate::proto::head::Head;

#[cfg(test)]
mod tests;

/// An extension that a client offers, with the parameters it would use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer<'h> {
    name: &'h str,
    /// What follows the name: parameters, each behind its semicolon.
    params: &'h [u8],
}

/// A parameter of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param<'h> {
    /// Its name, a token.
    pub name: &'h str,
    /// Its value, a token, without the quotes it may have come in.
    pub value: Option<Cow<'h, str>>,
}

/// The `Sec-WebSocket-Extensions` of a request break the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The offers of all `Sec-WebSocket-Extensions` fields, in the client's order of preference. It ends
/// with the first one that is malformed; behind a handshake that
/// [`accept`](super::handshake::accept) took there is none.
pub fn offers(head: &Head) -> impl Iterator<Item = Result<Offer<'_>, Malformed>> {
    let mut failed = false;
    head.values("sec-websocket-extensions")
        .flat_map(|value| {
            let mut cursor = Cursor(value);
            core::iter::from_fn(move || cursor.offer().transpose())
        })
        .take_while(move |offer| !core::mem::replace(&mut failed, offer.is_err()))
}

impl<'h> Offer<'h> {
    /// The extension's name, a token.
    pub fn name(&self) -> &'h str {
        self.name
    }

    /// The parameters in the order in which they came.
    pub fn params(&self) -> impl Iterator<Item = Param<'h>> {
        let mut cursor = Cursor(self.params);
        // Nothing is malformed here: the offer was read to its end before.
        core::iter::from_fn(move || cursor.param().ok().flatten())
    }
}

/// What is left of a field's value.
struct Cursor<'h>(&'h [u8]);

impl<'h> Cursor<'h> {
    /// The next element of the list; empty ones are skipped (RFC 9110, section 5.6.1.2).
    fn offer(&mut self) -> Result<Option<Offer<'h>>, Malformed> {
        loop {
            self.skip_space();
            match self.0 {
                [] => return Ok(None),
                [b',', rest @ ..] => self.0 = rest,
                _ => break,
            }
        }
        let result = self.element();
        if result.is_err() {
            self.0 = &[];
        }
        result.map(Some)
    }

    fn element(&mut self) -> Result<Offer<'h>, Malformed> {
        let name = self.token()?;
        let start = self.0;
        while self.param()?.is_some() {}
        let params = &start[..start.len() - self.0.len()];
        self.skip_space();
        match self.0 {
            [] | [b',', ..] => Ok(Offer { name, params }),
            _ => Err(Malformed),
        }
    }

    /// `; name`, `; name=value` or `; name="value"`.
    fn param(&mut self) -> Result<Option<Param<'h>>, Malformed> {
        if !self.take(b';') {
            return Ok(None);
        }
        self.skip_space();
        let name = self.token()?;
        if !self.take(b'=') {
            return Ok(Some(Param { name, value: None }));
        }
        self.skip_space();
        let value = match self.0 {
            [b'"', rest @ ..] => {
                self.0 = rest;
                self.quoted()?
            }
            _ => Cow::Borrowed(self.token()?),
        };
        Ok(Some(Param { name, value: Some(value) }))
    }

    /// The rest of a quoted string, which without its quotes and escapes must be a token.
    fn quoted(&mut self) -> Result<Cow<'h, str>, Malformed> {
        let plain = self.0.iter().take_while(|&&byte| field::is_token_byte(byte)).count();
        if self.0.get(plain) == Some(&b'"') {
            let value = self.token()?;
            self.0 = &self.0[1..];
            return Ok(Cow::Borrowed(value));
        }
        let mut value = String::new();
        loop {
            let (byte, rest) = match self.0 {
                [b'"', rest @ ..] if !value.is_empty() => {
                    self.0 = rest;
                    return Ok(Cow::Owned(value));
                }
                [b'\\', byte, rest @ ..] | [byte, rest @ ..] => (*byte, rest),
                [] => return Err(Malformed),
            };
            if !field::is_token_byte(byte) {
                return Err(Malformed);
            }
            value.push(char::from(byte));
            self.0 = rest;
        }
    }

    fn token(&mut self) -> Result<&'h str, Malformed> {
        let len = self.0.iter().take_while(|&&byte| field::is_token_byte(byte)).count();
        let (token, rest) = self.0.split_at(len);
        match str::from_utf8(token) {
            Ok(token) if !token.is_empty() => {
                self.0 = rest;
                Ok(token)
            }
            _ => Err(Malformed),
        }
    }

    /// Whether `byte` is next, spaces before it left aside; then it is taken with them.
    fn take(&mut self, byte: u8) -> bool {
        match field::trim(self.0) {
            [first, ..] if *first == byte => {
                self.skip_space();
                self.0 = &self.0[1..];
                true
            }
            _ => false,
        }
    }

    fn skip_space(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.0 {
            self.0 = rest;
        }
    }
}
