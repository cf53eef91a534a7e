//! As much of WebSocket (RFC 6455) as it takes to send messages and to know when one is whole.

/// A request to upgrade `path`.
pub fn upgrade(path: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

/// The payload that clients send: letters, so that it is a valid text message.
pub fn payload(len: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(len).collect()
}

/// A masked text frame with the whole message (RFC 6455, section 5.2).
pub fn text_frame(payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![FINAL | TEXT];
    match payload.len() {
        len @ ..126 => frame.push(MASKED | len as u8),
        len @ ..=0xffff => {
            frame.push(MASKED | 126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            frame.push(MASKED | 127);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
const TEXT: u8 = 1;
const BINARY: u8 = 2;

/// Finds whole messages in what is received, and compares them with what they must be.
#[derive(Debug)]
pub struct MessageReader {
    expected: Vec<u8>,
    kept: Vec<u8>,
}

impl MessageReader {
    /// Expects messages with this payload, each in one frame.
    pub fn new(expected: Vec<u8>) -> Self {
        Self { expected, kept: Vec::new() }
    }

    /// Takes bytes, and returns how many messages have become whole.
    ///
    /// # Errors
    ///
    /// What is wrong with a message, for people.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, String> {
        if self.kept.is_empty() {
            let (count, taken_len) = self.messages(bytes)?;
            self.kept.extend_from_slice(&bytes[taken_len..]);
            return Ok(count);
        }
        let mut kept = std::mem::take(&mut self.kept);
        kept.extend_from_slice(bytes);
        let (count, taken_len) = self.messages(&kept)?;
        kept.drain(..taken_len);
        self.kept = kept;
        Ok(count)
    }

    /// How many whole messages are at the front of `bytes`, and their length.
    fn messages(&self, bytes: &[u8]) -> Result<(usize, usize), String> {
        let (mut count, mut at) = (0, 0);
        while let Some((head_len, payload_len)) = frame_head(&bytes[at..])? {
            let Some(payload) = bytes.get(at + head_len..at + head_len + payload_len) else {
                break;
            };
            if payload != self.expected {
                return Err("a message that differs from what was sent".to_owned());
            }
            count += 1;
            at += head_len + payload_len;
        }
        Ok((count, at))
    }
}

/// The lengths of a frame's head and payload, or `None` if more bytes are needed.
fn frame_head(bytes: &[u8]) -> Result<Option<(usize, usize)>, String> {
    let &[first, second, ref rest @ ..] = bytes else {
        return Ok(None);
    };
    if first != FINAL | TEXT && first != FINAL | BINARY {
        return Err(format!("a frame that begins with {first:#04x}, not a whole message"));
    }
    Ok(match second {
        len @ ..126 => Some((2, usize::from(len))),
        126 => rest.first_chunk().map(|len| (4, usize::from(u16::from_be_bytes(*len)))),
        127 => rest.first_chunk().map(|len| (10, u64::from_be_bytes(*len) as usize)),
        _ => return Err("a masked frame from the server".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_frame(payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![FINAL | TEXT];
        match payload.len() {
            len @ ..126 => frame.push(len as u8),
            len => {
                frame.push(126);
                frame.extend_from_slice(&(len as u16).to_be_bytes());
            }
        }
        frame.extend_from_slice(payload);
        frame
    }

    #[test]
    fn a_message_is_whole_wherever_it_is_cut() {
        for len in [0, 5, 125, 126, 300] {
            let frame = server_frame(&payload(len));
            for cut in 1..frame.len() {
                let mut reader = MessageReader::new(payload(len));
                assert_eq!(reader.take(&frame[..cut]), Ok(0), "{len} {cut}");
                assert_eq!(reader.take(&frame[cut..]), Ok(1), "{len} {cut}");
            }
        }
    }

    #[test]
    fn several_messages_in_one_piece_are_counted() {
        let frames = server_frame(b"hi").repeat(3);
        let mut reader = MessageReader::new(b"hi".to_vec());
        assert_eq!(reader.take(&frames[..frames.len() - 1]), Ok(2));
        assert_eq!(reader.take(&frames[frames.len() - 1..]), Ok(1));
    }

    #[test]
    fn a_different_payload_a_masked_frame_and_a_close_are_errors() {
        let mut other = MessageReader::new(b"hi".to_vec());
        assert!(other.take(&server_frame(b"ho")).is_err());
        assert!(MessageReader::new(vec![]).take(&text_frame(b"")).is_err());
        assert!(MessageReader::new(vec![]).take(&[0x88, 0]).is_err());
    }

    #[test]
    fn a_frame_is_masked_and_says_its_length_in_the_shortest_form() {
        let frame = text_frame(b"Hello");
        assert_eq!(frame, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"); // RFC 6455, 5.7
        assert_eq!(text_frame(&payload(126))[1..4], [0xfe, 0, 126]);
        assert_eq!(text_frame(&payload(0x10000))[1..10], [0xff, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
