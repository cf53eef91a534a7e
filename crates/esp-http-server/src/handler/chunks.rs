//! The body of a response, in pieces.

use super::reply::{Body, Framing};
use super::request::Request;
use crate::error::{Error, Result};
use crate::proto::field;
use crate::proto::response as encode;
use crate::server::Reply;

/// The body of a response, in pieces.
///
/// Without [`finish`](Self::finish) the response is incomplete: the client sees that by the
/// connection's end.
///
/// On `std` it is a `std::io::Write`. Each piece is a chunk of its own, so what comes in crumbs,
/// as from `write!`, is better collected:
///
/// ```
/// # #[cfg(feature = "std")] mod example {
/// # use esp_http_server::{Request, Result};
/// use std::io::{BufWriter, Write};
///
/// fn table(req: &mut Request) -> Result {
///     let mut chunks = req.respond().content_type("text/csv").chunked()?;
///     let mut out = BufWriter::new(&mut chunks);
///     for number in 0..1000 {
///         writeln!(out, "{number},{}", number * number)?;
///     }
///     out.flush()?;
///     drop(out);
///     chunks.finish()
/// }
/// # }
/// ```
#[must_use = "a response without `finish` is cut off"]
pub struct Chunks<'r, 't> {
    request: &'r mut Request<'t>,
    framing: Framing,
    /// How many bytes of an announced length are missing.
    left: u64,
    body: Body,
}

/// The longest head of a chunk, and its end.
const CHUNK_FRAMING_LEN: usize = 16 + 2 + 2;

impl<'r, 't> Chunks<'r, 't> {
    pub(super) fn new(request: &'r mut Request<'t>, framing: Framing, body: Body) -> Self {
        let left = match framing {
            Framing::Length(len) => len,
            Framing::Chunked | Framing::Close => u64::MAX,
        };
        Self { request, framing, left, body }
    }

    /// Sends a piece; an empty one sends nothing.
    ///
    /// # Errors
    ///
    /// [`Error::BodyLength`] if more is sent than was announced, [`Error::Closed`],
    /// [`Error::TimedOut`].
    pub fn send(&mut self, piece: impl AsRef<[u8]>) -> Result {
        let piece = piece.as_ref();
        if let Framing::Length(announced) = self.framing {
            let left = self.left.checked_sub(piece.len() as u64);
            self.left = left.ok_or(Error::BodyLength { announced })?;
        }
        if piece.is_empty() || self.body == Body::Dropped {
            return Ok(());
        }
        let link = self.request.link_mut();
        if self.framing != Framing::Chunked {
            return link.write(piece);
        }
        let most = link.conn().shared.config.send_capacity();
        let io = link.conn_mut().io_mut();
        io.tx.reserve_within(CHUNK_FRAMING_LEN, most);
        encode::chunk_head(io.tx.storage(), piece.len() as u64);
        link.write(piece)?;
        encode::chunk_end(link.conn_mut().io_mut().tx.storage());
        Ok(())
    }

    /// Offers the network what was sent so far, for pieces that the client should see now and not
    /// when the next one comes. A client that is slow to take them is not waited for.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn flush(&mut self) -> Result {
        self.request.sleep(core::time::Duration::ZERO)
    }

    /// The request, to read more of its body in between.
    pub fn request(&mut self) -> &mut Request<'t> {
        self.request
    }

    pub(super) fn body(&self) -> Body {
        self.body
    }

    /// Ends the body.
    ///
    /// # Errors
    ///
    /// [`Error::BodyLength`] if less was sent than was announced.
    pub fn finish(self) -> Result {
        const NONE: [(&str, &[u8]); 0] = [];
        self.finish_with_trailers(NONE)
    }

    /// Ends the body, with header fields that are known only now, such as a checksum (RFC 9110,
    /// section 6.5). Only a chunked body can have them: a client of HTTP/1.0 is not told, nor is one that
    /// was told a length.
    ///
    /// Recipients may drop them, and most do; who needs them says so by `TE: trailers`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidField`] for a name or value that can't stand in a header, or a name that can't
    /// stand in a trailer: those that decide framing, caching, authentication or how the body is to be
    /// read. Then the response is cut off. Those of [`finish`](Self::finish).
    pub fn finish_with_trailers<N, V>(self, trailers: impl IntoIterator<Item = (N, V)>) -> Result
    where
        N: AsRef<str>,
        V: AsRef<[u8]>,
    {
        let mut lines = alloc::vec::Vec::new();
        for (name, value) in trailers {
            let name = name.as_ref();
            if field::is_forbidden_in_our_trailers(name)
                || encode::field(&mut lines, name, value.as_ref()).is_err()
            {
                return Err(Error::InvalidField(name.into()));
            }
        }
        let io = self.request.link_mut().conn_mut().io_mut();
        match self.framing {
            Framing::Length(announced) if self.left > 0 && self.body == Body::Follows => {
                return Err(Error::BodyLength { announced });
            }
            Framing::Chunked if self.body == Body::Follows => {
                encode::last_chunk(io.tx.storage(), &lines);
            }
            _ => {}
        }
        io.reply = Reply::Done;
        Ok(())
    }
}

#[cfg(feature = "std")]
impl std::io::Write for Chunks<'_, '_> {
    fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
        self.send(piece)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(Chunks::flush(self)?)
    }
}
