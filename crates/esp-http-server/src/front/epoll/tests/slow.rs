//! Peers that read little, and many at once that have something.

use rustix::net::RecvFlags;
use socket2::{Domain, Socket, Type};

use super::*;

/// A client with a receive buffer as small as there is.
fn narrow(bench: &Bench) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(1).unwrap();
    socket.connect(&bench.addr.into()).unwrap();
    socket.into()
}

#[test]
fn room_for_a_little_is_not_reported_but_found_by_looking_again() {
    let mut bench = Bench::new();
    let mut client = narrow(&bench);
    let id = bench.accept();
    let mut waiting = tx(&vec![b'x'; 32 << 20]);
    while !would_block(&bench.net.send(id, &mut waiting)) {}
    // The kernel says nothing, however long it stays so.
    bench.net.look_again(id);
    assert!(would_block(&bench.net.send(id, &mut waiting)));
    let mut taken_len = 0;
    let deadline = bench.clock.now() + PATIENCE;
    for _ in 0..10 {
        client.read_exact(&mut [0; 4096]).unwrap();
        assert!(would_block(&bench.net.send(id, &mut waiting)), "nothing was reported");
        // The other end learns it a moment later.
        loop {
            bench.net.look_again(id);
            let before = waiting.len();
            while !would_block(&bench.net.send(id, &mut waiting)) {}
            taken_len += before - waiting.len();
            if before > waiting.len() {
                break;
            }
            assert!(bench.clock.now() < deadline, "no room after {taken_len} bytes");
            thread::yield_now();
        }
    }
    // What the kernel takes is what has been read, and not a whole segment for each byte.
    assert!((10..=10 * 8192).contains(&taken_len), "{taken_len}");
}

#[test]
fn a_socket_that_was_looked_at_again_is_offered_everything_once_it_is_reported() {
    let mut bench = Bench::new();
    let mut client = narrow(&bench);
    let id = bench.accept();
    let mut waiting = tx(&vec![b'x'; 4 << 20]);
    while !would_block(&bench.net.send(id, &mut waiting)) {}
    bench.net.look_again(id);
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        client.read_to_end(&mut all).unwrap();
        all.len()
    });
    let mut largest = 0;
    while !waiting.is_empty() {
        largest = largest.max(bench.until(|net| unblocked(net.send(id, &mut waiting))).unwrap());
    }
    assert!(largest > 8192, "{largest}");
    bench.net.close(id);
    assert_eq!(reader.join().unwrap(), 4 << 20);
}

#[test]
fn all_that_are_ready_are_reported_by_one_wait() {
    const COUNT: usize = 300;
    let mut bench = Bench::new();
    let mut pairs: Vec<_> = (0..COUNT).map(|_| bench.pair()).collect();
    while !bench.ready_now().is_empty() {}
    for (client, id) in &mut pairs {
        client.write_all(b"x").unwrap();
        let fd = &bench.net.sockets.of(*id).fd;
        while rustix::net::recv(fd, &mut [0; 1], RecvFlags::PEEK).is_err() {
            thread::yield_now();
        }
    }
    assert_eq!(bench.ready_now().len(), COUNT);
}
