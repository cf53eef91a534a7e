//! A whole server on [`EpollNet`], small enough to read at a glance.

use super::*;

#[test]
fn an_echo_server_takes_few_lines() {
    let mut bench = Bench::new();
    let (addr, waker) = (bench.addr, bench.net.waker());
    let server = thread::spawn(move || echo(&mut bench.net, 4));

    let said = |client: usize| format!("hello from {client}; ").repeat(20_000);
    let clients = (0..4).map(|client| {
        thread::spawn(move || {
            let mut stream = connect(addr);
            let mut speaker = stream.try_clone().unwrap();
            let speech = thread::spawn(move || {
                speaker.write_all(said(client).as_bytes()).unwrap();
                speaker.shutdown(Shutdown::Write).unwrap();
            });
            let mut heard = String::new();
            stream.read_to_string(&mut heard).unwrap();
            speech.join().unwrap();
            assert!(heard == said(client), "client {client} heard {} bytes", heard.len());
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.join().unwrap();
    }
    waker.wake();
    assert_eq!(server.join().unwrap(), 4);
}

/// Gives every client its bytes back until `clients` have left; says how many came.
fn echo(net: &mut EpollNet, clients: usize) -> usize {
    struct Session {
        rx: RxBuf,
        tx: TxBuf,
    }
    let mut sessions: Vec<Option<Session>> = Vec::new();
    let mut ready = Vec::new();
    let (mut came, mut left) = (0, 0);
    while left < clients {
        while let Some(id) = net.accept() {
            sessions.resize_with(sessions.len().max(id.index() + 1), || None);
            sessions[id.index()] = Some(Session { rx: RxBuf::new(), tx: TxBuf::new() });
            ready.push(id);
            came += 1;
        }
        for id in ready.drain(..) {
            let Some(session) = &mut sessions[id.index()] else {
                continue;
            };
            let Session { rx, tx } = session;
            let done = loop {
                match net.send(id, tx) {
                    Err(NetError::WouldBlock) => break false,
                    sent => sent.unwrap(),
                };
                if !tx.is_empty() {
                    continue;
                }
                rx.reserve(4096);
                match net.recv(id, rx) {
                    Err(NetError::WouldBlock) => break false,
                    Ok(0) => break true,
                    received => tx.storage().extend_from_slice(&rx.as_slice()[..received.unwrap()]),
                }
                rx.consume(rx.len());
            };
            if done {
                net.close(id);
                sessions[id.index()] = None;
                left += 1;
            }
        }
        if left < clients {
            net.wait(None, &mut ready);
        }
    }
    came
}
