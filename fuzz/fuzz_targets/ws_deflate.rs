//! Any bytes as compressed messages, and any messages compressed: the same comes out however both are
//! cut and however little room there is, and what was compressed comes back.
#![no_main]

use esp_http_server::proto::ws::WsError;
use esp_http_server::proto::ws::deflate::{
    Compression, ContextTakeover, Deflater, Inflater, Rest, WindowBits,
};
use fuzz::Cuts;
use libfuzzer_sys::fuzz_target;

/// Above any that these inputs make by mistake, below what a bomb makes.
const MESSAGE_LEN: usize = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let [choice, cuts, room, input @ ..] = data else { return };
    let compression = compression(*choice);
    if choice & 0x40 == 0 {
        // Two messages, so that the second one meets what the first one has left.
        let (first, second) = input.split_at(input.len() / 2);
        let messages = [first, second];
        let whole = inflate_all(compression, &messages, |left| left, 4096);
        let mut cuts = Cuts::new(*cuts);
        let room = 1 + usize::from(*room);
        let cut = inflate_all(compression, &messages, |left| cuts.next_len(left), room);
        assert!(whole == cut, "{whole:?} {cut:?}");
    } else {
        round_trip(compression, input, *cuts, 1 + usize::from(*room));
    }
});

fn compression(choice: u8) -> Compression {
    let bits = 8 + choice % 8;
    let takes_over = if choice & 0x20 == 0 { ContextTakeover::On } else { ContextTakeover::Off };
    Compression {
        window_bits: WindowBits::new(bits).expect("8 to 15"),
        context_takeover: takes_over,
    }
}

/// What the messages inflate to, up to the first that can't be.
fn inflate_all(
    compression: Compression,
    messages: &[&[u8]],
    mut next_len: impl FnMut(usize) -> usize,
    room: usize,
) -> Vec<Result<Vec<u8>, WsError>> {
    let mut inflater = Inflater::new(compression);
    let mut all = Vec::new();
    for message in messages {
        let inflated = inflate(&mut inflater, message, &mut next_len, room);
        let failed = inflated.is_err();
        all.push(inflated);
        if failed {
            break;
        }
    }
    all
}

fn inflate(
    inflater: &mut Inflater,
    message: &[u8],
    next_len: &mut impl FnMut(usize) -> usize,
    room: usize,
) -> Result<Vec<u8>, WsError> {
    let mut room = vec![0; room];
    let mut inflated = Vec::new();
    let (mut at, mut given) = (0, 0);
    loop {
        if at == given {
            given += next_len(message.len() - given);
        }
        let rest = if given == message.len() { Rest::Ended } else { Rest::Follows };
        let step = inflater.inflate(&message[at..given], rest, &mut room)?;
        assert!(step.produced <= room.len() && step.consumed <= given - at);
        at += step.consumed;
        inflated.extend_from_slice(&room[..step.produced]);
        if step.is_done {
            assert_eq!(at, message.len());
            return Ok(inflated);
        }
        if inflated.len() > MESSAGE_LEN {
            inflated.truncate(MESSAGE_LEN);
            return Ok(inflated);
        }
        let moves = step.consumed + step.produced > 0 || at < given || given < message.len();
        assert!(moves, "stuck");
    }
}

fn round_trip(compression: Compression, input: &[u8], cuts: u8, room: usize) {
    let mut deflater = Deflater::new();
    let mut inflater = Inflater::new(compression);
    let mut cuts = Cuts::new(cuts);
    // Messages of all lengths, the second time as repetitions of the first.
    for _ in 0..2 {
        let mut rest = input;
        for _ in 0..8 {
            let (message, behind) = rest.split_at(cuts.next_len(rest.len()));
            rest = behind;
            let mut payload = Vec::new();
            deflater.deflate(message, compression, &mut payload);
            let mut whole = |left| left;
            assert_eq!(inflate(&mut inflater, &payload, &mut whole, room).as_deref(), Ok(message));
        }
    }
}
