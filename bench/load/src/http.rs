//! As much of HTTP/1.1 as it takes to know when an answer is whole.

/// A request of `path` without a body.
pub fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

/// Longest head of an answer.
const HEAD_MAX_LEN: usize = 8 << 10;

/// Finds the ends of answers in what is received. Bodies are counted, not kept.
#[derive(Debug)]
pub struct AnswerReader {
    /// The status that every answer must have.
    status: u16,
    /// What is there of a head that is not whole yet.
    head: Vec<u8>,
    /// What is missing of the body, once the head is whole.
    body_missing_len: usize,
    phase: Phase,
    /// The body's length in the first answer: all others must have the same.
    body_len: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Head,
    Body,
}

impl AnswerReader {
    /// Expects answers with this status.
    pub fn new(status: u16) -> Self {
        Self { status, head: Vec::new(), body_missing_len: 0, phase: Phase::Head, body_len: None }
    }

    /// Takes bytes up to the end of an answer. Returns how many, and whether an answer is whole.
    ///
    /// # Errors
    ///
    /// What is wrong with the answer, for people.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(usize, Answer), String> {
        let mut taken_len = 0;
        if self.phase == Phase::Head {
            let (head_len, whole) = self.take_head(bytes)?;
            taken_len = head_len;
            if !whole {
                return Ok((taken_len, Answer::Partial));
            }
        }
        let body_len = self.body_missing_len.min(bytes.len() - taken_len);
        self.body_missing_len -= body_len;
        if self.body_missing_len > 0 {
            return Ok((taken_len + body_len, Answer::Partial));
        }
        self.phase = Phase::Head;
        Ok((taken_len + body_len, Answer::Whole))
    }

    /// Takes bytes up to the end of the head. Returns how many, and whether the head is whole.
    fn take_head(&mut self, bytes: &[u8]) -> Result<(usize, bool), String> {
        let kept_len = self.head.len();
        // The usual case, a head that comes at once, is read where it is.
        let whole;
        let head: &[u8] = if kept_len == 0 {
            whole = end_of_head(bytes);
            bytes
        } else {
            self.head.extend_from_slice(bytes);
            whole = end_of_head(&self.head);
            &self.head
        };
        let Some(head_len) = whole else {
            if kept_len == 0 {
                self.head.extend_from_slice(bytes);
            }
            if self.head.len() > HEAD_MAX_LEN {
                return Err(format!("no end of the head in {HEAD_MAX_LEN} bytes"));
            }
            return Ok((bytes.len(), false));
        };
        let body_len = body_len(&head[..head_len], self.status)?;
        if *self.body_len.get_or_insert(body_len) != body_len {
            return Err(format!("a body of {body_len} bytes, others had {:?}", self.body_len));
        }
        self.head.clear();
        self.body_missing_len = body_len;
        self.phase = Phase::Body;
        Ok((head_len - kept_len, true))
    }
}

/// Whether an answer is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// More is needed.
    Partial,
    /// This was its end.
    Whole,
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|start| start + 4)
}

/// The length of the body that follows a head, which must have the expected status.
fn body_len(head: &[u8], expected: u16) -> Result<usize, String> {
    let text = str::from_utf8(head).map_err(|_| "the head is not text".to_owned())?;
    let mut lines = text.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line.split(' ').nth(1).and_then(|code| code.parse::<u16>().ok());
    if status != Some(expected) {
        return Err(format!("'{status_line}' instead of status {expected}"));
    }
    if expected == 101 {
        return Ok(0);
    }
    lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .ok_or_else(|| "no Content-Length".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nServer: a\r\n\r\nhello";

    #[test]
    fn an_answer_is_whole_wherever_it_is_cut() {
        for cut in 1..ANSWER.len() {
            let mut reader = AnswerReader::new(200);
            for _ in 0..2 {
                assert_eq!(reader.take(&ANSWER[..cut]), Ok((cut, Answer::Partial)), "{cut}");
                let rest = &ANSWER[cut..];
                assert_eq!(reader.take(rest), Ok((rest.len(), Answer::Whole)), "{cut}");
            }
        }
    }

    #[test]
    fn two_answers_in_one_piece_are_told_apart() {
        let both = [ANSWER, ANSWER].concat();
        let mut reader = AnswerReader::new(200);
        assert_eq!(reader.take(&both), Ok((ANSWER.len(), Answer::Whole)));
        assert_eq!(reader.take(&both[ANSWER.len()..]), Ok((ANSWER.len(), Answer::Whole)));
    }

    #[test]
    fn an_empty_body_ends_with_its_head() {
        let mut reader = AnswerReader::new(200);
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(reader.take(answer), Ok((answer.len(), Answer::Whole)));
    }

    #[test]
    fn another_status_a_missing_length_and_a_changed_length_are_errors() {
        for (answer, complaint) in [
            (&b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"[..], "503"),
            (b"HTTP/1.1 200 OK\r\n\r\n", "Content-Length"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello!", "6 bytes"),
        ] {
            let mut reader = AnswerReader::new(200);
            reader.take(ANSWER).unwrap();
            let error = reader.take(answer).unwrap_err();
            assert!(error.contains(complaint), "{error}");
        }
    }

    #[test]
    fn a_head_without_end_is_an_error_and_not_a_wait() {
        let mut reader = AnswerReader::new(200);
        let endless = vec![b'a'; HEAD_MAX_LEN + 1];
        assert!(reader.take(&endless).unwrap_err().contains("no end"));
    }
}
