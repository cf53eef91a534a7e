//! The UTF-8 of text that comes in pieces.

use crate::proto::ws::WsError;

#[cfg(test)]
mod tests;

/// Checks text that comes in pieces cut anywhere, also inside a character, and fails with the first
/// byte that can't be part of any UTF-8.
#[derive(Clone, Debug, Default)]
pub struct Utf8Stream {
    /// The start of a character whose end is to come.
    partial: [u8; 4],
    partial_len: usize,
}

impl Utf8Stream {
    /// The next piece.
    ///
    /// # Errors
    ///
    /// [`WsError::NotUtf8`].
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), WsError> {
        let mut bytes = bytes;
        while self.partial_len > 0 {
            let [first, rest @ ..] = bytes else {
                return Ok(());
            };
            // Four bytes are a character or a fault, so this never runs over.
            self.partial[self.partial_len] = *first;
            self.partial_len += 1;
            bytes = rest;
            match core::str::from_utf8(&self.partial[..self.partial_len]) {
                Ok(_) => self.partial_len = 0,
                Err(error) if error.error_len().is_some() => return Err(WsError::NotUtf8),
                Err(_) => {}
            }
        }
        let Err(error) = simdutf8::compat::from_utf8(bytes) else {
            return Ok(());
        };
        if error.error_len().is_some() {
            return Err(WsError::NotUtf8);
        }
        let partial = &bytes[error.valid_up_to()..];
        self.partial[..partial.len()].copy_from_slice(partial);
        self.partial_len = partial.len();
        Ok(())
    }

    /// The end of the text; the next piece starts another one.
    ///
    /// # Errors
    ///
    /// [`WsError::NotUtf8`] if the text ends inside a character.
    pub fn finish(&mut self) -> Result<(), WsError> {
        match core::mem::take(&mut self.partial_len) {
            0 => Ok(()),
            _ => Err(WsError::NotUtf8),
        }
    }
}
