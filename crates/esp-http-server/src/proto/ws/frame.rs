//! Frames (RFC 6455, section 5): heads, masks, close payloads.

use alloc::vec::Vec;
use core::str;

use super::WsError;

#[cfg(test)]
mod tests;

/// The longest head of a frame, in bytes.
pub const HEAD_LEN: usize = 14;
/// The longest payload of a control frame, in bytes.
pub const CONTROL_LEN: usize = 125;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// The message goes on.
    Continuation = 0x0,
    /// A text message begins.
    Text = 0x1,
    /// A binary message begins.
    Binary = 0x2,
    /// The peer will send no more.
    Close = 0x8,
    /// The peer wants a pong.
    Ping = 0x9,
    /// The answer to a ping, or a sign of life.
    Pong = 0xa,
}

impl Opcode {
    /// The opcode in the low four bits of a frame's first byte.
    fn parse(bits: u8) -> Result<Opcode, WsError> {
        match bits {
            0x0 => Ok(Opcode::Continuation),
            0x1 => Ok(Opcode::Text),
            0x2 => Ok(Opcode::Binary),
            0x8 => Ok(Opcode::Close),
            0x9 => Ok(Opcode::Ping),
            0xa => Ok(Opcode::Pong),
            reserved => Err(WsError::ReservedOpcode(reserved)),
        }
    }

    /// Whether the frame is a control frame: it may stand between the frames of a message.
    pub const fn is_control(self) -> bool {
        self as u8 >= 0x8
    }
}

/// The three reserved bits of a frame, which extensions give a meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rsv(u8);

impl Rsv {
    /// None of them.
    pub const NONE: Rsv = Rsv(0);
    /// The first one: the message is compressed (RFC 7692).
    pub const RSV1: Rsv = Rsv(0x40);

    /// Whether no bit is set here that isn't set in `allowed`.
    pub const fn is_within(self, allowed: Rsv) -> bool {
        self.0 & !allowed.0 == 0
    }
}

/// Who sends the frames. A client masks every frame, a server none (RFC 6455, section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A client.
    Client,
    /// A server.
    Server,
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// Whether the message ends with this frame.
    pub fin: bool,
    /// The reserved bits.
    pub rsv: Rsv,
    /// What the frame is.
    pub opcode: Opcode,
    /// Length of the payload, in bytes.
    pub len: u64,
    /// The key that the payload is masked with.
    pub mask: Option<[u8; 4]>,
}

/// Reads the head of a frame and its length in bytes; `None` if more bytes are needed. What is wrong
/// in the first two bytes is known as soon as they are here.
///
/// # Errors
///
/// [`WsError`] when the head breaks a rule of section 5: reserved bits, reserved opcodes, masks,
/// lengths not in their shortest form, control frames. A reserved bit must be `negotiated`, and it
/// stands on the first frame of a message only: it says how the whole message is coded (RFC 7692,
/// section 6).
pub fn parse_head(
    input: &[u8],
    sender: Sender,
    negotiated: Rsv,
) -> Result<Option<(FrameHead, usize)>, WsError> {
    let &[first, second, ref rest @ ..] = input else {
        return Ok(None);
    };
    let (fin, rsv) = (first & 0x80 != 0, Rsv(first & 0x70));
    let (is_masked, short_len) = (second & 0x80 != 0, second & 0x7f);
    let opcode = Opcode::parse(first & 0x0f)?;
    let allowed = match opcode {
        Opcode::Text | Opcode::Binary => negotiated,
        _ => Rsv::NONE,
    };
    if !rsv.is_within(allowed) {
        return Err(WsError::ReservedBits);
    }
    if is_masked != (sender == Sender::Client) {
        return Err(WsError::Mask);
    }
    if opcode.is_control() && (!fin || short_len as usize > CONTROL_LEN) {
        return Err(WsError::ControlFrame);
    }
    let (len, rest) = match short_len {
        126 => match rest.split_first_chunk() {
            Some((len, rest)) => (u64::from(u16::from_be_bytes(*len)), rest),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk() {
            Some((len, rest)) => (u64::from_be_bytes(*len), rest),
            None => return Ok(None),
        },
        len => (u64::from(len), rest),
    };
    match (short_len, len) {
        (126, ..126) | (127, ..0x1_0000 | 0x8000_0000_0000_0000..) => return Err(WsError::Length),
        _ => {}
    }
    let (mask, rest) = match (is_masked, rest.split_first_chunk()) {
        (false, _) => (None, rest),
        (true, Some((key, rest))) => (Some(*key), rest),
        (true, None) => return Ok(None),
    };
    Ok(Some((FrameHead { fin, rsv, opcode, len, mask }, input.len() - rest.len())))
}

/// Appends the head of a frame, its length in the shortest form.
pub fn encode_head(out: &mut Vec<u8>, head: &FrameHead) {
    let mask_bit = if head.mask.is_some() { 0x80 } else { 0 };
    out.reserve(HEAD_LEN);
    out.push(if head.fin { 0x80 } else { 0 } | head.rsv.0 | head.opcode as u8);
    match head.len {
        len @ 0..126 => out.push(mask_bit | len as u8),
        len @ 126..0x1_0000 => {
            out.push(mask_bit | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(mask_bit | 127);
            out.extend_from_slice(&len.to_be_bytes());
        }
    }
    if let Some(key) = head.mask {
        out.extend_from_slice(&key);
    }
}

/// Appends a whole frame as a server sends it: final and unmasked.
pub fn encode_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    let head =
        FrameHead { fin: true, rsv: Rsv::NONE, opcode, len: payload.len() as u64, mask: None };
    out.reserve(HEAD_LEN + payload.len());
    encode_head(out, &head);
    out.extend_from_slice(payload);
}

/// Masks or unmasks payload (RFC 6455, section 5.3); `offset` is where in the frame's payload `data`
/// starts, in bytes.
pub fn apply_mask(data: &mut [u8], key: [u8; 4], offset: u64) {
    // The key as a number, so that no step goes through memory: small frames are the most frequent.
    let key = u32::from_le_bytes(key).rotate_right((offset % 4) as u32 * 8);
    let mut wide = u64::from(key) << 32 | u64::from(key);
    // Written so that the compiler makes vector code of it: a fixed-size chunk, no dependency.
    let (words, rest) = data.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_le_bytes(*word) ^ wide).to_le_bytes();
    }
    for byte in rest {
        *byte ^= wide as u8;
        wide >>= 8;
    }
}

/// Why a connection closes (RFC 6455, section 7.4): a code that may stand in a close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: done.
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// 1001: the server stops, or the page is left.
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: CloseCode = CloseCode(1002);
    /// 1003: data of a kind that the endpoint doesn't take.
    pub const UNSUPPORTED_DATA: CloseCode = CloseCode(1003);
    /// 1007: text that isn't UTF-8.
    pub const INVALID_DATA: CloseCode = CloseCode(1007);
    /// 1008: refused, for a reason that no other code has.
    pub const POLICY_VIOLATION: CloseCode = CloseCode(1008);
    /// 1009: the message is too big.
    pub const TOO_BIG: CloseCode = CloseCode(1009);
    /// 1010: the server lacks an extension that the client needs.
    pub const MANDATORY_EXTENSION: CloseCode = CloseCode(1010);
    /// 1011: the server failed.
    pub const INTERNAL_ERROR: CloseCode = CloseCode(1011);
    /// 1012: the server restarts.
    pub const SERVICE_RESTART: CloseCode = CloseCode(1012);
    /// 1013: the server is overloaded.
    pub const TRY_AGAIN_LATER: CloseCode = CloseCode(1013);
    /// 1014: a server behind this one gave no usable answer.
    pub const BAD_GATEWAY: CloseCode = CloseCode(1014);

    /// The code, if it may be sent: 1000 to 1003, 1007 to 1014, and 3000 to 4999 for libraries and
    /// applications. 1005, 1006 and 1015 only ever describe a close without frame.
    pub const fn new(code: u16) -> Option<CloseCode> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(CloseCode(code)),
            _ => None,
        }
    }

    /// The number.
    pub const fn code(self) -> u16 {
        self.0
    }
}

/// The code and reason of a close frame; `None` if the peer gave none.
///
/// # Errors
///
/// [`WsError::ClosePayload`] for one byte of payload or a code that must not be sent,
/// [`WsError::NotUtf8`] for the reason.
pub fn parse_close(payload: &[u8]) -> Result<Option<(CloseCode, &str)>, WsError> {
    match payload.split_first_chunk() {
        None if payload.is_empty() => Ok(None),
        None => Err(WsError::ClosePayload),
        Some((code, reason)) => {
            let code = CloseCode::new(u16::from_be_bytes(*code)).ok_or(WsError::ClosePayload)?;
            let reason = str::from_utf8(reason).map_err(|_| WsError::NotUtf8)?;
            Ok(Some((code, reason)))
        }
    }
}

/// Appends a whole close frame as a server sends it. The reason is cut at a character to the 123
/// bytes that fit.
pub fn encode_close(out: &mut Vec<u8>, code: CloseCode, reason: &str) {
    let reason = &reason[..reason.floor_char_boundary(CONTROL_LEN - 2)];
    let len = 2 + reason.len() as u64;
    let head = FrameHead { fin: true, rsv: Rsv::NONE, opcode: Opcode::Close, len, mask: None };
    encode_head(out, &head);
    out.extend_from_slice(&code.0.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}
