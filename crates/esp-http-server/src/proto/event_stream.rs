//! Server-sent events: `text/event-stream` as the HTML standard has it (section 9.2.5).

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::response::decimal;

/// One event of a stream, or what the client is to remember of it.
///
/// ```
/// use esp_http_server::proto::event_stream::{StreamEvent, encode};
///
/// let mut out = Vec::new();
/// encode(&mut out, &StreamEvent::new().name("measured").id("17").data("21.5 °C\n40 %"))?;
/// assert_eq!(out, "event: measured\nid: 17\ndata: 21.5 °C\ndata: 40 %\n\n".as_bytes());
/// # Ok::<(), esp_http_server::proto::event_stream::EventError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamEvent<'e> {
    name: Option<&'e str>,
    id: Option<&'e str>,
    retry: Option<Duration>,
    data: Option<&'e str>,
}

impl<'e> StreamEvent<'e> {
    /// An event that says nothing yet. Without [`data`](Self::data) the client's listeners are not told
    /// of it, but it remembers the id and the time to wait.
    pub const fn new() -> Self {
        Self { name: None, id: None, retry: None, data: None }
    }

    /// What it says. Line ends in it, be they CR, LF or both, arrive as LF.
    pub const fn data(mut self, data: &'e str) -> Self {
        self.data = Some(data);
        self
    }

    /// Its type, in one line: which listeners are told of it; `message` otherwise.
    pub const fn name(mut self, name: &'e str) -> Self {
        self.name = Some(name);
        self
    }

    /// Where the client is to go on, in one line: when it has lost the connection, it sends the last
    /// one as `Last-Event-ID`.
    pub const fn id(mut self, id: &'e str) -> Self {
        self.id = Some(id);
        self
    }

    /// How long the client is to wait before it connects again, in whole milliseconds.
    pub const fn retry(mut self, retry: Duration) -> Self {
        self.retry = Some(retry);
        self
    }
}

impl<'e> From<&'e str> for StreamEvent<'e> {
    fn from(data: &'e str) -> Self {
        Self::new().data(data)
    }
}

impl<'e> From<&'e alloc::string::String> for StreamEvent<'e> {
    fn from(data: &'e alloc::string::String) -> Self {
        Self::new().data(data)
    }
}

/// Appends an event, with the empty line that ends it.
///
/// # Errors
///
/// [`EventError`], with nothing written.
pub fn encode(out: &mut Vec<u8>, event: &StreamEvent<'_>) -> Result<(), EventError> {
    let is_line = |text: &str| !text.contains(['\r', '\n', '\0']);
    if !event.name.is_none_or(is_line) {
        return Err(EventError::Name);
    }
    if !event.id.is_none_or(is_line) {
        return Err(EventError::Id);
    }
    for (field, value) in [("event: ", event.name), ("id: ", event.id)] {
        if let Some(value) = value {
            line(out, field, value);
        }
    }
    if let Some(retry) = event.retry {
        out.extend_from_slice(b"retry: ");
        decimal(out, u64::try_from(retry.as_millis()).unwrap_or(u64::MAX));
        out.push(b'\n');
    }
    if let Some(data) = event.data {
        lines(data).for_each(|piece| line(out, "data: ", piece));
    }
    out.push(b'\n');
    Ok(())
}

/// Appends a comment, which clients skip, in as many lines as `text` has.
pub fn encode_comment(out: &mut Vec<u8>, text: &str) {
    lines(text).for_each(|piece| line(out, ": ", piece));
    out.push(b'\n');
}

/// Why an event can't be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventError {
    /// The name has a CR, LF or NUL in it.
    Name,
    /// The id has a CR, LF or NUL in it: clients would ignore it, or take what follows for another
    /// field.
    Id,
}

impl EventError {
    /// The field of the stream that it is about.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Name => "event",
            Self::Id => "id",
        }
    }
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "the field `{}` of an event has a CR, LF or NUL in it", self.field())
    }
}

impl core::error::Error for EventError {}

fn line(out: &mut Vec<u8>, field: &str, value: &str) {
    // Clients drop the one space behind the colon; a value's own spaces stay.
    out.extend_from_slice(field.as_bytes());
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

/// The lines of `text`, of which there is always one, by all three line ends that clients know.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    core::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\r', '\n']) else { return rest.take() };
        let behind = &text[end..];
        rest = behind.strip_prefix("\r\n").or(behind.get(1..));
        Some(&text[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};
    use alloc::vec;

    fn encoded(event: StreamEvent<'_>) -> String {
        let mut out = Vec::new();
        encode(&mut out, &event).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// The data of an event as the standard has a client read it (section 9.2.6).
    fn data_as_read(stream: &str) -> String {
        let normal = stream.replace("\r\n", "\n").replace('\r', "\n");
        let mut data = String::new();
        for line in normal.strip_suffix("\n\n").unwrap().split('\n') {
            let (field, value) = line.split_once(':').unwrap();
            assert_eq!(field, "data", "{line:?}");
            data += value.strip_prefix(' ').unwrap_or(value);
            data.push('\n');
        }
        data.pop();
        data
    }

    #[test]
    fn an_event_has_its_fields_and_an_empty_line() {
        assert_eq!(encoded("hello".into()), "data: hello\n\n");
        let event = StreamEvent::new()
            .data("x")
            .retry(Duration::from_micros(1_500_900))
            .id("")
            .name("caf\u{e9} open");
        assert_eq!(encoded(event), "event: caf\u{e9} open\nid: \nretry: 1500\ndata: x\n\n");
        assert_eq!(encoded(StreamEvent::new().id("7")), "id: 7\n\n");
    }

    #[test]
    fn data_is_split_at_every_line_end_and_arrives_whole() {
        for (data, arrives) in [
            ("", ""),
            ("a\nb", "a\nb"),
            ("a\rb", "a\nb"),
            ("a\r\nb", "a\nb"),
            ("a\n\rb", "a\n\nb"),
            ("\n", "\n"),
            ("\r\n\r\n", "\n\n"),
            ("a\n", "a\n"),
            ("a\r", "a\n"),
            (" two spaces  ", " two spaces  "),
            (": no comment", ": no comment"),
            ("data: x\n\nevent: y", "data: x\n\nevent: y"),
            ("\u{feff}\0\u{85}\u{2028}", "\u{feff}\0\u{85}\u{2028}"),
        ] {
            assert_eq!(data_as_read(&encoded(data.into())), arrives, "{data:?}");
        }
    }

    #[test]
    fn names_and_ids_are_one_line() {
        let mut out = vec![b'x'];
        for text in ["a\rb", "a\nb", "a\0b", "\r\n", "\n\ndata: injected"] {
            assert_eq!(encode(&mut out, &StreamEvent::new().name(text)), Err(EventError::Name));
            assert_eq!(encode(&mut out, &StreamEvent::new().id(text)), Err(EventError::Id));
        }
        assert_eq!(out, b"x", "nothing is written");
        assert_eq!(
            EventError::Id.to_string(),
            "the field `id` of an event has a CR, LF or NUL in it"
        );
    }

    #[test]
    fn every_line_of_a_comment_is_one() {
        let mut out = Vec::new();
        encode_comment(&mut out, "still\rhere\n\ndata: no");
        assert_eq!(out, b": still\n: here\n: \n: data: no\n\n");
    }
}
