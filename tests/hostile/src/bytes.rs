//! The bytes that bad clients send.

/// A request without body.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into()
}

/// The head of a request with a body, and these fields.
pub(crate) fn post(path: &str, fields: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n").into()
}

/// The head of a request whose body comes in chunks.
pub(crate) fn chunked(path: &str) -> Vec<u8> {
    post(path, "Transfer-Encoding: chunked\r\n")
}

/// A client's opening handshake of a WebSocket.
pub(crate) fn upgrade() -> Vec<u8> {
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
      Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        .to_vec()
}

/// A client's frame: its first byte, and its payload, which is masked.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..126 => frame.push(0x80 | len as u8),
        len @ 126..0x1_0000 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// The head of a client's binary frame that announces so much.
pub(crate) fn frame_head(len: u64) -> Vec<u8> {
    let mut head = vec![0x82, 0x80 | 127];
    head.extend_from_slice(&len.to_be_bytes());
    head.extend_from_slice(&[0; 4]);
    head
}

/// Enough repetitions to fill a piece that is worth its system call.
pub(crate) fn many(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    const PIECE_LEN: usize = 16 * 1024;
    let bytes = bytes.as_ref();
    bytes.repeat((PIECE_LEN / bytes.len()).max(1))
}

/// Numbers that look random and are the same in every run (xorshift64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        // Two rounds spread what differs between small seeds.
        let mut dice = Dice((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        dice.next();
        dice.next();
        dice
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound.max(1)
    }

    /// Bytes without any meaning.
    pub(crate) fn noise(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    /// The same bytes, with a few mistakes: some flipped, dropped, doubled, or cut off.
    pub(crate) fn mutated(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut mutated = bytes.to_vec();
        for _ in 0..1 + self.below(4) {
            let at = self.below(mutated.len());
            match self.below(5) {
                _ if mutated.is_empty() => {}
                0 => mutated[at] ^= 1 << self.below(8),
                1 => mutated[at] = self.next() as u8,
                2 => drop(mutated.remove(at)),
                3 => mutated.truncate(at),
                _ => {
                    let end = (at + 1 + self.below(20)).min(mutated.len());
                    let piece = mutated[at..end].to_vec();
                    mutated.splice(at..at, piece);
                }
            }
        }
        mutated
    }
}
