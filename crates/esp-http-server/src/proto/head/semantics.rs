//! The fields that decide framing, routing and the connection, judged as they arrive.

use super::{BodyLen, HeadError, Version};
use crate::proto::{field, uri};

/// What those fields said so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Semantics {
    content_length: Option<u64>,
    chunked: bool,
    host: bool,
    close: bool,
    keep_alive: bool,
    expect_continue: bool,
}

impl Semantics {
    /// Takes note of one field. Names are told apart by length first: most fields are none of these.
    #[inline]
    pub(super) fn field(
        &mut self,
        name: &[u8],
        value: &[u8],
        version: Version,
    ) -> Result<(), HeadError> {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.host(value),
            6 if name.eq_ignore_ascii_case(b"expect") => self.expect(value),
            10 if name.eq_ignore_ascii_case(b"connection") => {
                self.connection(value);
                Ok(())
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.transfer_encoding(value, version)
            }
            _ => Ok(()),
        }
    }

    /// The checks that need the whole head.
    pub(super) fn finish(&self, version: Version) -> Result<(), HeadError> {
        match version {
            Version::Http11 if !self.host => Err(HeadError::MissingHost),
            _ => Ok(()),
        }
    }

    pub(super) fn body_len(&self) -> BodyLen {
        match (self.chunked, self.content_length) {
            (true, _) => BodyLen::Chunked,
            (false, Some(len)) => BodyLen::Length(len),
            (false, None) => BodyLen::None,
        }
    }

    pub(super) fn keep_alive(&self, version: Version) -> bool {
        !self.close && (self.keep_alive || version == Version::Http11)
    }

    pub(super) fn expect_continue(&self, version: Version) -> bool {
        let awaits_body = !matches!(self.body_len(), BodyLen::None | BodyLen::Length(0));
        self.expect_continue && awaits_body && version == Version::Http11
    }

    fn host(&mut self, value: &[u8]) -> Result<(), HeadError> {
        if self.host {
            return Err(HeadError::DuplicateHost);
        }
        if !uri::is_authority(value) {
            return Err(HeadError::InvalidHost);
        }
        self.host = true;
        Ok(())
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), HeadError> {
        if self.content_length.is_some() {
            return Err(HeadError::DuplicateContentLength);
        }
        if self.chunked {
            return Err(HeadError::LengthAndTransferEncoding);
        }
        let len = decimal(value).ok_or(HeadError::InvalidContentLength)?;
        self.content_length = Some(len);
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8], version: Version) -> Result<(), HeadError> {
        if version == Version::Http10 {
            return Err(HeadError::TransferEncodingInHttp10);
        }
        if self.content_length.is_some() {
            return Err(HeadError::LengthAndTransferEncoding);
        }
        if self.chunked {
            return Err(HeadError::DuplicateTransferEncoding);
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(HeadError::UnknownTransferEncoding);
        }
        self.chunked = true;
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) {
        for option in field::list(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    fn expect(&mut self, value: &[u8]) -> Result<(), HeadError> {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(HeadError::Expectation);
        }
        self.expect_continue = true;
        Ok(())
    }
}

/// Decimal digits and nothing else: `str::parse` would take a `+` (CVE-2021-32715).
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}
