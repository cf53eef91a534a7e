//! The head of a response, and how the end of its body is told.

use alloc::vec::Vec;

use super::task::Link;
use crate::error::{Error, Result};
use crate::proto::head::{BodyLen, Version};
use crate::proto::method::Method;
use crate::proto::response as encode;
use crate::proto::status::Status;
use crate::server::{Conn, Exchange, Reply};

/// What a response's head says besides the fields that were added to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lead<'r> {
    pub(super) status: Status,
    /// In place of the reason that the registry has; checked.
    pub(super) reason: Option<&'r str>,
    pub(super) content_type: &'r str,
    /// Who gives the field `Content-Type`.
    pub(super) content_type_by: By,
    /// Who gives the field `Date`.
    pub(super) date_by: By,
}

/// Who gives a field that stands in a response once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Server,
    /// The handler, among those that it has added.
    Handler,
}

/// How the end of a response's body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
    /// By closing, for HTTP/1.0 clients.
    Close,
}

/// Whether a body follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Follows,
    /// Pieces are taken and dropped: the answer to HEAD, 204, 205 and 304 have none.
    Dropped,
}

/// What most heads have room in, besides the fields that the handler adds.
const HEAD_LEN: usize = 256;

/// Writes the head of a handler's response, once everything in it was found to be right.
pub(super) fn begin(link: &mut Link<'_>, lead: &Lead<'_>, framing: Framing) -> Result<Body> {
    if !encode::is_field_value(lead.content_type.as_bytes()) {
        return Err(Error::InvalidField("Content-Type".into()));
    }
    if lead.status.is_informational() {
        return Err(Error::InvalidStatus(alloc::format!("{}", lead.status)));
    }
    link.stamp();
    Ok(write_head(link.conn_mut(), lead, framing))
}

/// Writes a whole response without a handler: errors, mostly.
pub(crate) fn write_simple(conn: &mut Conn, status: Status, text: &str) {
    conn.keep_alive &= !leaves_too_much(conn);
    let lead = Lead {
        status,
        reason: None,
        content_type: "text/plain; charset=utf-8",
        content_type_by: By::Server,
        date_by: By::Server,
    };
    let body = write_head(conn, &lead, Framing::Length(text.len() as u64));
    let io = conn.io_mut();
    if body == Body::Follows {
        io.tx.storage().extend_from_slice(text.as_bytes());
    }
    io.reply = Reply::Done;
}

/// Whether more of the body is unread than the server would drop to keep the session open. Asked
/// only for whole responses: who answers in pieces may still read.
pub(super) fn leaves_too_much(conn: &Conn) -> bool {
    let io = conn.io();
    matches!(io.head.body_len(), BodyLen::Length(_))
        && io.body.remaining_hint() > conn.shared.config.purge_len as u64
}

/// Whether the client waits for `100 Continue`, which can't be sent behind a response: it may send
/// its body or not, and there is no telling where its next request would begin.
pub(super) fn awaits_continue(conn: &Conn) -> bool {
    conn.io().continue_due && !conn.io().body.is_done()
}

fn write_head(conn: &mut Conn, lead: &Lead<'_>, framing: Framing) -> Body {
    let opens_tunnel = opens_tunnel(conn.io(), lead.status);
    let framing = if opens_tunnel { Framing::Close } else { framing };
    conn.keep_alive &= framing != Framing::Close && !awaits_continue(conn);
    let keep_alive = conn.keep_alive;
    let Conn { exchange, shared, .. } = conn;
    let io = exchange.as_mut().expect("a session being served has its buffers");
    let version = io.head.version();
    let body_len = match framing {
        Framing::Length(len) => usize::try_from(len).unwrap_or(usize::MAX),
        Framing::Chunked | Framing::Close => 0,
    };
    // One allocation at most, however the head and the body grow the buffer.
    let most = shared.config.send_capacity();
    let head_len = io.fields.len() + HEAD_LEN;
    // Behind a response that still waits there is less room, and the body comes in pieces.
    let room = most.saturating_sub(io.tx.len());
    io.tx.reserve_within(body_len.saturating_add(head_len).min(room).max(head_len), most);
    let out = io.tx.storage();
    write_status(out, lead);
    if let (By::Server, Some(date)) = (lead.date_by, &io.date) {
        out.extend_from_slice(date);
    }
    if may_have_content(lead.status) && lead.content_type_by == By::Server {
        encode::content_type(out, lead.content_type);
    }
    match (keep_alive, version) {
        (false, _) => out.extend_from_slice(b"Connection: close\r\n"),
        (true, Version::Http10) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
        (true, Version::Http11) => {}
    }
    write_framing(out, lead.status, framing);
    out.extend_from_slice(&io.fields);
    out.extend_from_slice(&shared.layer.response_fields);
    encode::end_of_head(out);
    io.reply = Reply::Open;
    io.status = lead.status;
    match may_have_content(lead.status) && !opens_tunnel && io.head.method() != Method::Head {
        true => Body::Follows,
        false => Body::Dropped,
    }
}

/// Writes the status line.
pub(super) fn write_status(out: &mut Vec<u8>, lead: &Lead<'_>) {
    match lead.reason {
        None => encode::status_line(out, Version::Http11, lead.status),
        Some(reason) => {
            encode::status_line_with_reason(out, Version::Http11, lead.status, reason)
                .expect("a checked reason");
        }
    }
}

/// Tells the end of the body as far as the status lets it be told (RFC 9110, sections 8.6, 15.3.5,
/// 15.3.6 and 15.4.5).
fn write_framing(out: &mut Vec<u8>, status: Status, framing: Framing) {
    match (status, framing) {
        (Status::RESET_CONTENT, _) => encode::content_length(out, 0),
        // What a 200 would have had. That this is nothing can't be known.
        (Status::NOT_MODIFIED, Framing::Length(len @ 1..)) => encode::content_length(out, len),
        _ if !status.may_have_body() => {}
        (_, Framing::Length(len)) => encode::content_length(out, len),
        (_, Framing::Chunked) => encode::transfer_encoding_chunked(out),
        (_, Framing::Close) => {}
    }
}

/// Whether a response of this status has content, if its method lets it.
fn may_have_content(status: Status) -> bool {
    status.may_have_body() && status != Status::RESET_CONTENT
}

/// Whether the client takes all that follows this head for what the other end of its tunnel says (RFC
/// 9110, section 9.3.6): no framing is seen any more, and no further response.
fn opens_tunnel(io: &Exchange, status: Status) -> bool {
    io.head.method() == Method::Connect && status.is_success()
}
