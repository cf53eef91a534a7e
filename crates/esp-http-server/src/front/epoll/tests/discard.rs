//! What nobody will read is dropped, and that only.

use super::*;
use crate::front::epoll::DISCARD_LEN;

impl Bench {
    fn discard(&mut self, id: NetId) -> Result<usize, NetError> {
        self.until(|net| unblocked(net.discard(id)))
    }
}

#[test]
fn all_that_comes_is_dropped_piece_by_piece_until_the_peers_end() {
    let mut bench = Bench::new();
    let (mut client, id) = bench.pair();
    let len = 10 * DISCARD_LEN + 7;
    let sender = thread::spawn(move || client.write_all(&vec![b'x'; len]).unwrap());
    let mut dropped = 0;
    loop {
        match bench.discard(id).unwrap() {
            0 => break,
            piece @ 1..=DISCARD_LEN => dropped += piece,
            piece => panic!("{piece} bytes at once"),
        }
    }
    assert_eq!(dropped, len);
    assert_eq!(bench.discard(id).unwrap(), 0, "the end stays the end");
    sender.join().unwrap();
}

#[test]
fn a_short_discard_says_that_the_socket_is_empty() {
    let mut bench = Bench::new();
    let (mut client, id) = bench.pair();
    client.write_all(b"one").unwrap();
    bench.reported(id);
    assert_eq!(bench.net.discard(id).unwrap(), 3);
    assert!(would_block(&bench.net.discard(id)));
    client.write_all(b"three").unwrap();
    bench.reported(id);
    let mut rx = RxBuf::new();
    assert_eq!(bench.net.recv(id, &mut rx).unwrap(), 5, "nothing else was dropped");
    assert_eq!(rx.as_slice(), b"three");
}

#[test]
fn a_reset_ends_discarding() {
    let mut bench = Bench::new();
    let (client, id) = bench.pair();
    sockopt::set_socket_linger(&client, Some(Duration::ZERO)).unwrap();
    drop(client);
    assert!(matches!(bench.discard(id), Err(NetError::Closed)));
}
