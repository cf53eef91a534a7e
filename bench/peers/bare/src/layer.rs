//! What lies between the socket and the pages: nothing, or one of rustls' two interfaces.

use std::io::{BufRead, ErrorKind, Write};
use std::sync::Arc;

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, InsufficientSizeError};
use rustls::{ServerConfig, ServerConnection};

use crate::pages::Pages;
use crate::{Failure, Interface};

/// One session's way from bytes to bytes.
pub(crate) enum Layer {
    Plain,
    /// TLS, as soon as there is a first byte: a silent client costs nothing.
    Waiting(Arc<ServerConfig>, Interface),
    Buffered(Box<ServerConnection>),
    /// With the bytes of a record that is not whole yet.
    Unbuffered(Box<UnbufferedServerConnection>, Vec<u8>),
}

impl Layer {
    pub(crate) fn new(config: Option<&Arc<ServerConfig>>, interface: Interface) -> Self {
        match config {
            None => Self::Plain,
            Some(config) => Self::Waiting(Arc::clone(config), interface),
        }
    }

    /// Takes what was read, gives requests to `answer`, and appends what is to be sent to `output`.
    pub(crate) fn recv<'a>(
        &mut self,
        input: &mut [u8],
        output: &mut Vec<u8>,
        answer: &mut dyn FnMut(&[u8]) -> Vec<&'a [u8]>,
    ) -> Result<(), Failure> {
        match self {
            Self::Plain => {
                answer(input).into_iter().for_each(|page| output.extend_from_slice(page));
                Ok(())
            }
            Self::Waiting(config, Interface::Buffered) => {
                let mut tls = ServerConnection::new(Arc::clone(config))?;
                tls.set_buffer_limit(None);
                *self = Self::Buffered(Box::new(tls));
                self.recv(input, output, answer)
            }
            Self::Waiting(config, Interface::Unbuffered) => {
                let tls = UnbufferedServerConnection::new(Arc::clone(config))?;
                *self = Self::Unbuffered(Box::new(tls), Vec::new());
                self.recv(input, output, answer)
            }
            Self::Buffered(tls) => buffered(tls, input, output, answer),
            Self::Unbuffered(tls, rest) if rest.is_empty() => {
                let taken_len = unbuffered(tls, input, output, answer)?;
                rest.extend_from_slice(&input[taken_len..]);
                Ok(())
            }
            Self::Unbuffered(tls, rest) => {
                rest.extend_from_slice(input);
                let taken_len = unbuffered(tls, rest, output, answer)?;
                rest.drain(..taken_len);
                if rest.is_empty() {
                    *rest = Vec::new(); // an idle session keeps no buffer
                }
                Ok(())
            }
        }
    }
}

fn buffered<'a>(
    tls: &mut ServerConnection,
    mut input: &[u8],
    output: &mut Vec<u8>,
    answer: &mut dyn FnMut(&[u8]) -> Vec<&'a [u8]>,
) -> Result<(), Failure> {
    while !input.is_empty() {
        tls.read_tls(&mut input)?;
        tls.process_new_packets()?;
        loop {
            let (len, pages) = match tls.reader().fill_buf() {
                Ok([]) => return Err("closed".into()),
                Ok(plain) => (plain.len(), answer(plain)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            };
            tls.reader().consume(len);
            for page in pages {
                tls.writer().write_all(page)?;
            }
        }
    }
    while tls.wants_write() {
        tls.write_tls(output)?;
    }
    Ok(())
}

/// More than a record adds to its payload, and than what may ride along.
const RECORD_OVERHEAD_LEN: usize = 64;
const QUEUED_LEN: usize = 256;

fn unbuffered<'a>(
    tls: &mut UnbufferedServerConnection,
    input: &mut [u8],
    output: &mut Vec<u8>,
    answer: &mut dyn FnMut(&[u8]) -> Vec<&'a [u8]>,
) -> Result<usize, Failure> {
    let mut taken_len = 0;
    let mut pages = Vec::new();
    loop {
        let status = tls.process_tls_records(&mut input[taken_len..]);
        let discard = status.discard;
        match status.state? {
            ConnectionState::ReadTraffic(mut records) => {
                while let Some(record) = records.next_record() {
                    pages.append(&mut answer(record?.payload));
                }
            }
            ConnectionState::EncodeTlsData(mut data) => {
                if let Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) =
                    data.encode(&mut [])
                {
                    let start = output.len();
                    output.resize(start + required_size, 0);
                    data.encode(&mut output[start..])?;
                }
            }
            ConnectionState::TransmitTlsData(data) => data.done(),
            ConnectionState::WriteTraffic(mut traffic) => {
                for page in pages {
                    let start = output.len();
                    let records = page.len().div_ceil(1 << 14);
                    let room_len = page.len() + records * RECORD_OVERHEAD_LEN + QUEUED_LEN;
                    output.resize(start + room_len, 0);
                    let len = traffic.encrypt(page, &mut output[start..])?;
                    output.truncate(start + len);
                }
                return Ok(taken_len + discard);
            }
            ConnectionState::BlockedHandshake => return Ok(taken_len + discard),
            _ => return Err("closed".into()),
        }
        taken_len += discard;
    }
}

/// What is there of a head that is not whole yet.
#[derive(Default)]
pub(crate) struct Unread(Vec<u8>);

impl Unread {
    /// Takes plain bytes, and returns the answers to the requests that are whole.
    pub(crate) fn requests<'a>(&mut self, plain: &[u8], pages: &'a Pages) -> Vec<&'a [u8]> {
        if self.0.is_empty() {
            let (answers, taken_len) = whole(plain, pages);
            self.0.extend_from_slice(&plain[taken_len..]);
            return answers;
        }
        self.0.extend_from_slice(plain);
        let (answers, taken_len) = whole(&self.0, pages);
        self.0.drain(..taken_len);
        answers
    }
}

/// The answers to the requests at the front of `plain`, and how long those are.
fn whole<'a>(plain: &[u8], pages: &'a Pages) -> (Vec<&'a [u8]>, usize) {
    let mut answers = Vec::new();
    let mut at = 0;
    while let Some(end) = plain[at..].windows(4).position(|end| end == b"\r\n\r\n") {
        answers.push(pages.answer(&plain[at..]));
        at += end + 4;
    }
    (answers, at)
}
