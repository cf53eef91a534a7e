//! Any bytes as a body: the same data and the same end however they are cut, and into whatever buffers
//! they are read, and no progress without bytes.
#![no_main]

use esp_http_server::proto::body::{BodyDecoder, BodyError, Limits};
use esp_http_server::proto::head::BodyLen;
use fuzz::Cuts;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [cuts, framing, input @ ..] = data else { return };
    let framing = match framing {
        0..16 => BodyLen::Length(u64::from(*framing)),
        16 => BodyLen::Length(u64::MAX),
        17 => BodyLen::None,
        _ => BodyLen::Chunked,
    };
    let whole = decode(framing, input, |left| left, None);
    let mut lens = Cuts::new(*cuts);
    let cut = decode(framing, input, |left| lens.next_len(left), None);
    assert_eq!(whole.end, cut.end);
    let mut lens = Cuts::new(*cuts);
    let buf_len = 1 + usize::from(*cuts);
    let copied = decode(framing, input, |left| lens.next_len(left), Some(buf_len));
    assert_eq!(cut.end, copied.end);
    assert_eq!(cut.trailers, copied.trailers);
    // Byte by byte all that stands before a fault is delivered, as when it is copied.
    let dripped = decode(framing, input, |_| 1, None);
    assert_eq!(dripped.data, copied.data);
    // Behind a fault in the same input data is not delivered, so the whole may have less of it.
    match whole.end {
        Err(_) => assert!(cut.data.starts_with(&whole.data)),
        Ok(_) => assert_eq!(cut.data, whole.data),
    }
    assert_eq!(cut.trailers, whole.trailers);
});

#[derive(Debug)]
struct Body {
    data: Vec<u8>,
    trailers: Vec<(String, Vec<u8>)>,
    /// How many bytes of the input belong to the body, and whether it is done.
    end: Result<(usize, bool), BodyError>,
}

/// Decodes in place, or into a buffer of so many bytes.
fn decode(
    framing: BodyLen,
    input: &[u8],
    mut next_len: impl FnMut(usize) -> usize,
    buf_len: Option<usize>,
) -> Body {
    let limits = Limits { excess_len: 100, ..Limits::default() };
    let mut decoder = BodyDecoder::new(framing);
    let mut data = Vec::new();
    let mut at = 0;
    let mut received = 0;
    let end = loop {
        if at == received && received < input.len() {
            received += next_len(input.len() - received);
        }
        let piece = &input[at..received];
        let consumed = match buf_len {
            None => decoder.decode(piece, &limits).map(|decoded| {
                assert!(decoded.data.end <= decoded.consumed && decoded.consumed <= piece.len());
                data.extend_from_slice(&piece[decoded.data]);
                decoded.consumed
            }),
            Some(len) => {
                let mut buf = [0; 256];
                decoder.copy_into(piece, &mut buf[..len], &limits).map(|copied| {
                    assert!(copied.len <= copied.consumed && copied.consumed <= piece.len());
                    data.extend_from_slice(&buf[..copied.len]);
                    copied.consumed
                })
            }
        };
        match consumed {
            Err(error) => {
                assert_eq!(decoder.decode(piece, &limits), Err(error), "an error is final");
                break Err(error);
            }
            Ok(consumed) => {
                at += consumed;
                if decoder.is_done() || (consumed == 0 && piece.is_empty()) {
                    break Ok((at, decoder.is_done()));
                }
                assert!(consumed > 0, "stuck");
            }
        }
    };
    let trailers: Vec<_> =
        decoder.trailers().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
    assert!(trailers.len() <= limits.trailer_count);
    let trailers_len: usize = trailers.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(trailers_len <= limits.trailers_len);
    Body { data, trailers, end }
}
