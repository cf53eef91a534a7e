//! What one connection says and expects.

use crate::http::{self, Answer, AnswerReader};
use crate::{Before, Work, ws};

/// The client's side of one connection.
pub(crate) trait Script: Send {
    /// Begins anew on a new connection, and says what to send first.
    fn open(&mut self) -> &[u8];

    /// Takes what was received, adds the answers in it to `answers`, and says how to go on.
    ///
    /// # Errors
    ///
    /// What is wrong with an answer, for people.
    fn received(&mut self, bytes: &[u8], answers: &mut u64) -> Result<Step, String>;

    /// What [`Step::Send`] sends.
    fn next(&self) -> &[u8];
}

/// How a connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Wait for more.
    Wait,
    /// Send what comes next.
    Send,
    /// Close and connect again.
    Reopen,
    /// Stay open and do nothing.
    Rest,
}

/// The script of connection number `index`.
pub(crate) fn for_work(work: &Work, index: usize) -> Box<dyn Script> {
    match work {
        Work::KeepAlive { path } => Box::new(Requests::new(path, Step::Send)),
        Work::Connections { .. } => Box::new(Requests::new("/", Step::Reopen)),
        &Work::WsEcho { message_len } => {
            Box::new(Messages::new("/ws", message_len, Step::Send, Step::Send))
        }
        &Work::WsBroadcast { message_len } => {
            let speaks = if index == 0 { Step::Send } else { Step::Wait };
            Box::new(Messages::new("/ws/broadcast", message_len, speaks, speaks))
        }
    }
}

/// The script of a connection that will rest.
pub(crate) fn for_idle(before: Before) -> Box<dyn Script> {
    match before {
        Before::Request => Box::new(Requests::new("/", Step::Rest)),
        Before::WebSocket => Box::new(Messages::new("/ws", 64, Step::Send, Step::Rest)),
    }
}

/// One request, and something to do when its answer is there.
struct Requests {
    request: Vec<u8>,
    answers: AnswerReader,
    then: Step,
}

impl Requests {
    fn new(path: &str, then: Step) -> Self {
        Self { request: http::request(path), answers: AnswerReader::new(200), then }
    }
}

impl Script for Requests {
    fn open(&mut self) -> &[u8] {
        self.answers = AnswerReader::new(200);
        &self.request
    }

    fn received(&mut self, bytes: &[u8], answers: &mut u64) -> Result<Step, String> {
        match self.answers.take(bytes)? {
            (_, Answer::Partial) => Ok(Step::Wait),
            (taken_len, Answer::Whole) if taken_len == bytes.len() => {
                *answers += 1;
                Ok(self.then)
            }
            _ => Err("bytes behind the answer".to_owned()),
        }
    }

    fn next(&self) -> &[u8] {
        &self.request
    }
}

/// An upgrade, and messages.
struct Messages {
    upgrade: Vec<u8>,
    /// The answer to the upgrade, until it is there.
    upgraded: Option<AnswerReader>,
    frame: Vec<u8>,
    messages: ws::MessageReader,
    first: Step,
    then: Step,
}

impl Messages {
    fn new(path: &str, message_len: usize, first: Step, then: Step) -> Self {
        let payload = ws::payload(message_len);
        Self {
            upgrade: ws::upgrade(path),
            upgraded: None,
            frame: ws::text_frame(&payload),
            messages: ws::MessageReader::new(payload),
            first,
            then,
        }
    }
}

impl Script for Messages {
    fn open(&mut self) -> &[u8] {
        self.upgraded = Some(AnswerReader::new(101));
        &self.upgrade
    }

    fn received(&mut self, bytes: &[u8], answers: &mut u64) -> Result<Step, String> {
        let mut messages = bytes;
        let mut step = Step::Wait;
        if let Some(upgraded) = &mut self.upgraded {
            let (taken_len, Answer::Whole) = upgraded.take(bytes)? else {
                return Ok(Step::Wait);
            };
            self.upgraded = None;
            messages = &bytes[taken_len..];
            step = self.first;
        }
        match self.messages.take(messages)? {
            0 => Ok(step),
            count => {
                *answers += count as u64;
                Ok(self.then)
            }
        }
    }

    fn next(&self) -> &[u8] {
        &self.frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    const UPGRADED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

    #[test]
    fn the_next_request_follows_a_whole_answer() {
        let mut script = for_work(&Work::KeepAlive { path: "/a".to_owned() }, 0);
        assert!(script.open().starts_with(b"GET /a HTTP/1.1\r\n"));
        let mut answers = 0;
        assert_eq!(script.received(&ANSWER[..20], &mut answers), Ok(Step::Wait));
        assert_eq!(script.received(&ANSWER[20..], &mut answers), Ok(Step::Send));
        assert_eq!(answers, 1);
    }

    #[test]
    fn bytes_that_nobody_asked_for_are_an_error() {
        let mut script = for_idle(Before::Request);
        script.open();
        assert!(script.received(&ANSWER.repeat(2), &mut 0).is_err());
    }

    #[test]
    fn an_upgrade_is_no_answer_and_an_echo_is_one() {
        let mut script = for_work(&Work::WsEcho { message_len: 2 }, 0);
        let mut answers = 0;
        script.open();
        assert_eq!(script.received(UPGRADED, &mut answers), Ok(Step::Send));
        assert_eq!(answers, 0);
        assert_eq!(script.received(b"\x81\x02ab", &mut answers), Ok(Step::Send));
        assert_eq!(answers, 1);
    }

    #[test]
    fn of_those_that_listen_to_a_broadcast_only_the_first_speaks() {
        for (index, step) in [(0, Step::Send), (1, Step::Wait)] {
            let mut script = for_work(&Work::WsBroadcast { message_len: 2 }, index);
            let mut answers = 0;
            script.open();
            assert_eq!(script.received(UPGRADED, &mut answers), Ok(step));
            assert_eq!(script.received(b"\x81\x02ab\x81\x02ab", &mut answers), Ok(step));
            assert_eq!(answers, 2);
        }
    }
}
