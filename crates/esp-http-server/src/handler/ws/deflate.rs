//! Compression, as a session has agreed on it (RFC 7692).
//!
//! With context takeover a session has a deflater of its own. Without, it uses its worker's, which is
//! lent to it while its handler runs: handlers have small stacks, on which none can be made.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::message::Outgoing;
use crate::proto::ws::deflate::{Agreed, Compression, ContextTakeover, Deflater};
use crate::proto::ws::frame::{self, FrameHead, Opcode, Rsv};

/// A worker's deflater, once it was needed.
pub(crate) type SharedDeflater = Option<Box<Deflater>>;

/// How a session compresses what it sends.
pub(crate) struct WsDeflate {
    compression: Compression,
    /// Its own, or the worker's for as long as it is lent.
    deflater: SharedDeflater,
}

impl WsDeflate {
    /// Makes the deflater that is needed, the session's own or the worker's.
    pub(crate) fn new(agreed: &Agreed, shared: &mut SharedDeflater) -> Box<Self> {
        let compression = agreed.server();
        let make = || Box::new(Deflater::new());
        let deflater = match compression.context_takeover {
            ContextTakeover::On => Some(make()),
            ContextTakeover::Off => {
                shared.get_or_insert_with(make);
                None
            }
        };
        Box::new(Self { compression, deflater })
    }

    fn is_shared(&self) -> bool {
        self.compression.context_takeover == ContextTakeover::Off
    }

    /// Lends the worker's deflater, or gives it back.
    pub(super) fn swap(&mut self, shared: &mut SharedDeflater) {
        if self.is_shared() {
            core::mem::swap(&mut self.deflater, shared);
        }
    }

    /// The frame that all clients have which compress alike, if it is shorter than the plain one.
    pub(super) fn shared_frame(
        &mut self,
        message: &Outgoing,
        shared: &mut SharedDeflater,
    ) -> Option<Arc<[u8]>> {
        if !self.is_shared() {
            return None;
        }
        let deflater = self.deflater.as_mut().or(shared.as_mut())?;
        message.compressed(self.compression, deflater)
    }

    /// Appends the frame of a message that the client's window must learn of: whatever was compressed
    /// with the context is sent. `false` if the session has no context.
    pub(super) fn encode_in_context(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> bool {
        match &mut self.deflater {
            Some(deflater) if self.compression.context_takeover == ContextTakeover::On => {
                encode(opcode, payload, self.compression, deflater, out);
                true
            }
            _ => false,
        }
    }

    /// The compressed payload of a handler's message; `None` if it goes as it is.
    pub(super) fn compress(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let is_shared = self.is_shared();
        let deflater = self.deflater.as_mut()?;
        let mut compressed = Vec::new();
        deflater.deflate(payload, self.compression, &mut compressed);
        (!is_shared || compressed.len() < payload.len()).then_some(compressed)
    }

    /// The compressed payload of another fragment of a handler's message, of which the first was
    /// [compressed](Self::compress).
    pub(super) fn compress_more(&mut self, fragment: &[u8]) -> Vec<u8> {
        let deflater = self.deflater.as_mut().expect("it is there while the handler runs");
        let mut compressed = Vec::new();
        deflater.deflate_more(fragment, self.compression, &mut compressed);
        compressed
    }
}

/// Appends a message as one compressed frame.
pub(super) fn encode(
    opcode: Opcode,
    payload: &[u8],
    compression: Compression,
    deflater: &mut Deflater,
    out: &mut Vec<u8>,
) {
    let mut compressed = Vec::new();
    deflater.deflate(payload, compression, &mut compressed);
    let len = compressed.len() as u64;
    frame::encode_head(out, &FrameHead { fin: true, rsv: Rsv::RSV1, opcode, len, mask: None });
    out.extend_from_slice(&compressed);
}
