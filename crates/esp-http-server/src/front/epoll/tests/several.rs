//! Several listeners of one net.

use super::*;

fn two() -> Bench {
    Bench::at(&[LOOPBACK, LOOPBACK], 1).remove(0)
}

#[test]
fn clients_come_in_by_every_listener_under_the_address_they_chose() {
    let mut bench = two();
    assert_ne!(bench.addrs[0], bench.addrs[1]);
    for addr in bench.addrs.clone() {
        let client = connect(addr);
        let id = bench.accept();
        assert_eq!(bench.net.local_addr(id), Some(addr));
        assert_eq!(bench.net.peer_addr(id), Some(client.local_addr().unwrap()));
    }
}

#[test]
fn listeners_give_connections_by_turns() {
    let mut bench = two();
    let [busy, calm] = [bench.addrs[0], bench.addrs[1]];
    let _crowd: Vec<_> = (0..10).map(|_| connect(busy)).collect();
    let _few: Vec<_> = (0..2).map(|_| connect(calm)).collect();
    bench.until(|net| (net.backlogs.waits(0) && net.backlogs.waits(1)).then_some(()));
    let came = |bench: &mut Bench| {
        let id = bench.net.accept()?;
        bench.net.local_addr(id)
    };
    let order: Vec<_> = std::iter::from_fn(|| came(&mut bench)).collect();
    assert_eq!(order.len(), 12);
    assert_eq!(order[..5], [busy, calm, busy, calm, busy]);
}

#[test]
fn an_empty_backlog_holds_up_no_other() {
    let mut bench = two();
    let second = bench.addrs[1];
    for _ in 0..3 {
        let _client = connect(second);
        bench.accept();
        assert_eq!(bench.net.accept(), None);
    }
}

#[test]
fn connections_that_wait_at_both_are_accepted_without_a_second_report() {
    let mut bench = two();
    let _clients: Vec<_> = bench.addrs.iter().map(|addr| connect(*addr)).collect();
    bench.until(|net| (net.backlogs.waits(0) && net.backlogs.waits(1)).then_some(()));
    bench.wait_to_the_end(Duration::from_millis(5));
    assert_eq!(bench.net.accept(), Some(NetId(0)));
    bench.wait_to_the_end(Duration::from_millis(5));
    assert_eq!(bench.net.accept(), Some(NetId(1)));
    assert_eq!(bench.net.accept(), None);
}

#[test]
fn after_stop_listening_nobody_gets_in_by_any() {
    let mut bench = two();
    bench.net.stop_listening();
    for addr in &bench.addrs {
        assert!(TcpStream::connect(addr).is_err());
    }
    assert_eq!(bench.net.accept(), None);
}

#[test]
fn every_worker_has_a_listener_on_every_address() {
    let mut workers = Bench::at(&[LOOPBACK, LOOPBACK], 2);
    assert_eq!(workers[0].addrs, workers[1].addrs);
    for addr in workers[0].addrs.clone() {
        let mut accepted = [0; 2];
        let mut clients = Vec::new();
        // 1 in 2^64 that 64 of them go to the same worker.
        while accepted.contains(&0) && clients.len() < 64 {
            clients.push(connect(addr));
            let deadline = workers[0].clock.now() + PATIENCE;
            while accepted[0] + accepted[1] < clients.len() {
                for (worker, count) in workers.iter_mut().zip(&mut accepted) {
                    worker.ready_now();
                    *count += usize::from(worker.net.accept().is_some());
                }
                assert!(workers[0].clock.now() < deadline, "no worker got one");
            }
        }
        assert!(!accepted.contains(&0), "{accepted:?} at {addr}");
    }
}
