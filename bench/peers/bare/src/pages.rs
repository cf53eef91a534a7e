//! The answers, head and body behind each other.

/// The three pages of the testbed that are measured.
pub(crate) struct Pages {
    small: Vec<u8>,
    middle: Vec<u8>,
    large: Vec<u8>,
}

impl Pages {
    pub(crate) fn new() -> Self {
        let bytes: Vec<u8> = (0..=250).cycle().take(1 << 20).collect();
        Self {
            small: answer("text/html", b"<h1>Hello Secure World!</h1>"),
            middle: answer("application/octet-stream", &bytes[..64 << 10]),
            large: answer("application/octet-stream", &bytes),
        }
    }

    /// The answer to a head that is whole.
    pub(crate) fn answer(&self, head: &[u8]) -> &[u8] {
        match head {
            [b'G', b'E', b'T', b' ', b'/', b'6', ..] => &self.middle,
            [b'G', b'E', b'T', b' ', b'/', b'1', ..] => &self.large,
            _ => &self.small,
        }
    }
}

fn answer(content_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
