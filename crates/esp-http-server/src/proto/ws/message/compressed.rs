//! Payload that is inflated on its way (RFC 7692, section 7.2.2).

use super::{Decoded, End, Event, Frame, Message, MessageDecoder, MessageKind, Payload};
use crate::proto::ws::WsError;
use crate::proto::ws::deflate::{Inflated, Rest};
use crate::proto::ws::frame;

/// How much is unmasked at once, in bytes: it is done in a copy, as what the inflater leaves must be
/// there again as it came.
const PIECE_LEN: usize = 512;

impl MessageDecoder {
    pub(super) fn compressed_data(
        &mut self,
        mut frame: Frame,
        mut message: Message,
        input: &[u8],
        room: &mut [u8],
    ) -> Result<Decoded, WsError> {
        let left = usize::try_from(frame.head.len - frame.received).unwrap_or(usize::MAX);
        let input = &input[..input.len().min(left)];
        // The message may inflate to so much more.
        let allowed = self.limits.message_len.saturating_sub(message.inflated_len);
        let allowed = usize::try_from(allowed).unwrap_or(usize::MAX);
        let is_limited = allowed <= room.len();
        let room_len = room.len().min(allowed);
        let room = &mut room[..room_len];

        let mut sum = Inflated::default();
        let is_stuck = loop {
            let is_probing = is_limited && sum.produced == room.len();
            // At the limit the message may end, but one byte more is too much.
            let mut probe = [0; 1];
            let target = if is_probing { &mut probe[..] } else { &mut room[sum.produced..] };
            let step = match self.inflate(&frame, &input[sum.consumed..], target) {
                Ok(step) => step,
                // What comes before the fault counts, however it was cut; the fault is told again.
                Err(_) if sum.produced > 0 => break true,
                Err(error) => return Err(error),
            };
            if is_probing && step.produced > 0 {
                if message.kind == MessageKind::Text {
                    // Of two faults the first one counts, however they were cut.
                    self.utf8.push(&room[..sum.produced])?;
                }
                return Err(WsError::MessageTooLong { limit: self.limits.message_len });
            }
            frame.received += step.consumed as u64;
            sum.consumed += step.consumed;
            sum.produced += step.produced;
            sum.is_done = step.is_done;
            if self.inflater.as_ref().is_some_and(|inflater| inflater.has_failed()) {
                // What came before the fault is handed over; the fault is told before the frame ends.
                break true;
            }
            let is_full = step.produced == target.len();
            let goes_on = step.consumed > 0 && sum.consumed < input.len();
            let may_probe = is_full && is_limited && !is_probing;
            if sum.is_done || !(goes_on || may_probe) {
                break is_full;
            }
        };

        let is_whole = frame.received == frame.head.len;
        let end = match frame.head.fin {
            true if sum.is_done => End::Message,
            false if is_whole && !is_stuck => End::Frame,
            _ => End::No,
        };
        if message.kind == MessageKind::Text {
            self.utf8.push(&room[..sum.produced])?;
        }
        message.inflated_len += sum.produced as u64;
        self.message = Some(message);
        self.end_data(frame, end)?;
        let has_event = sum.produced > 0 || end != End::No;
        let event = has_event.then_some(Event::Data {
            kind: message.kind,
            payload: Payload::Room(0..sum.produced),
            end,
        });
        Ok(Decoded { consumed: sum.consumed, event })
    }

    /// One piece of the frame's payload.
    fn inflate(
        &mut self,
        frame: &Frame,
        input: &[u8],
        room: &mut [u8],
    ) -> Result<Inflated, WsError> {
        let mut piece = [0; PIECE_LEN];
        let piece = &mut piece[..input.len().min(PIECE_LEN)];
        piece.copy_from_slice(&input[..piece.len()]);
        frame::apply_mask(piece, frame.head.mask.unwrap_or_default(), frame.received);
        let ends_here = frame.head.len - frame.received == piece.len() as u64;
        let rest = if frame.head.fin && ends_here { Rest::Ended } else { Rest::Follows };
        match &mut self.inflater {
            Some(inflater) => inflater.inflate(piece, rest, room),
            // A compressed message passed only because one was agreed on.
            None => Err(WsError::NotDeflate),
        }
    }
}
