//! Handshakes that take long: few in a turn, and of as many clients as there are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::support::*;
use crate::server::HttpConfig;

fn engine() -> Engine {
    Engine::new(HttpConfig::default(), |server| server.get("/*", path))
}

/// A client whose handshake will take long.
fn dear(engine: &Engine, ip: impl Into<IpAddr>) -> Client {
    let addr = Some(SocketAddr::new(ip.into(), 1000));
    let handshake = Handshake::UnderWay;
    engine.connect_as(Peer { handshake, dear: true, addr, ..Peer::default() })
}

const CROWD: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SOMEBODY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

fn crowd(engine: &Engine, count: usize) -> Vec<Client> {
    (0..count).map(|_| dear(engine, CROWD)).collect()
}

/// The next bytes of their handshakes come, in that order.
fn go_on(clients: &[Client]) {
    clients.iter().for_each(|client| client.put_handshake(Handshake::Done));
}

#[test]
fn so_many_are_moved_on_in_a_turn_in_the_order_of_their_arrival() {
    let engine = engine();
    let clients = crowd(&engine, 10);
    go_on(&clients);
    for open in [4, 8, 10, 10] {
        engine.poll_once();
        let sessions: Vec<_> = clients[..open].iter().map(Client::session).collect();
        assert_eq!(engine.handle().clients(), sessions);
        assert_eq!(engine.waits().is_some_and(|wait| wait.is_zero()), open < 10);
    }
}

#[test]
fn four_are_moved_on_in_a_turn_and_no_more() {
    for (count, in_line) in [(3, 0), (4, 0), (5, 1)] {
        let engine = engine();
        go_on(&crowd(&engine, count));
        engine.poll_once();
        assert_eq!((engine.in_line(), engine.handle().clients().len()), (in_line, count - in_line));
    }
}

/// In how many turns a hello of somebody is answered that comes behind so many crowds.
fn turns_behind(crowds: u8) -> usize {
    let engine = engine();
    let of_crowd = |number| dear(&engine, Ipv4Addr::new(198, 51, 100, number));
    let mut clients: Vec<_> =
        (0..crowds).flat_map(|number| [(); 20].map(|()| of_crowd(number))).collect();
    clients.push(dear(&engine, SOMEBODY));
    go_on(&clients);
    let one = clients[clients.len() - 1].session();
    let mut turns = 0;
    while !engine.handle().clients().contains(&one) {
        engine.poll_once();
        turns += 1;
    }
    turns
}

#[test]
fn whoever_opens_one_connection_does_not_wait_for_the_whole_of_crowds() {
    // The first turn is the first crowd's, which was there first; then clients take turns.
    for (crowds, turns) in [(1, 2), (3, 2), (4, 3), (7, 3), (8, 4)] {
        assert_eq!(turns_behind(crowds), turns, "{crowds} crowds");
    }
}

#[test]
fn an_ipv6_network_is_one_client() {
    let engine = engine();
    let of_network = |host| dear(&engine, Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host));
    let clients: Vec<_> = (1..=8).map(of_network).collect();
    let one = dear(&engine, Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 1));
    go_on(&clients);
    go_on(core::slice::from_ref(&one));
    engine.poll_once();
    assert_eq!(engine.in_line(), 5);
    engine.poll_once();
    assert!(engine.handle().clients().contains(&one.session()));
}

#[test]
fn those_who_are_open_are_served_first() {
    let engine = engine();
    let served = engine.connect();
    let clients = crowd(&engine, 10);
    go_on(&clients);
    served.put(get("/a"));
    engine.poll_once();
    served.expect(ok("/a"));
    assert_eq!(engine.in_line(), 6);
}

#[test]
fn a_cheap_step_does_not_wait() {
    let engine = engine();
    let clients = crowd(&engine, 10);
    let cheap = engine.connect_as(Peer { handshake: Handshake::UnderWay, ..Peer::default() });
    go_on(&clients);
    go_on(core::slice::from_ref(&cheap));
    engine.poll_once();
    assert_eq!(engine.handle().clients().len(), 5);
    assert!(engine.handle().clients().contains(&cheap.session()));
}

/// Clients that are gone with their hello, or fail behind it, have been answered all the same.
#[test]
fn those_that_end_in_the_turn_of_their_answer_count() {
    let gone = |client: &Client| {
        client.put_handshake(Handshake::Done);
        client.put_end();
    };
    let failed = |client: &Client| client.put_handshake(Handshake::Failed);
    let ends: [&dyn Fn(&Client); 2] = [&gone, &failed];
    for end in ends {
        let engine = engine();
        let clients = crowd(&engine, 10);
        clients.iter().for_each(end);
        for in_line in [6, 2, 0] {
            engine.poll_once();
            assert_eq!(engine.in_line(), in_line);
        }
    }
}

#[test]
fn reported_twice_it_waits_once() {
    let engine = engine();
    let clients = crowd(&engine, 6);
    go_on(&clients);
    engine.poll_once();
    assert_eq!(engine.in_line(), 2);
    engine.put_reports();
    engine.poll_once();
    assert_eq!((engine.in_line(), engine.handle().clients().len()), (0, 6));
}

#[test]
fn who_ends_leaves_the_line() {
    let engine = engine();
    let clients = crowd(&engine, 10);
    go_on(&clients);
    engine.poll_once();
    assert_eq!(engine.in_line(), 6);
    // Too late for those that are left: the turn that says so comes first.
    engine.handle().stop();
    engine.poll_once();
    assert_eq!(engine.in_line(), 0);
    assert!(clients[9].is_closed());
}

#[test]
fn one_that_waits_and_fails_is_told_so_in_its_turn() {
    let engine = engine();
    let clients = crowd(&engine, 5);
    clients.iter().for_each(|client| client.put_handshake(Handshake::Failed));
    engine.poll_once();
    assert_eq!((engine.in_line(), clients[4].is_shut()), (1, false));
    engine.run();
    clients.iter().for_each(Client::expect_lingering);
}

#[test]
fn those_who_have_not_sent_enough_to_be_answered_take_nobodys_place() {
    let engine = engine();
    let clients = crowd(&engine, 30);
    for client in &clients[..26] {
        client.put_handshake(Handshake::UnderWay);
    }
    go_on(&clients[26..]);
    engine.poll_once();
    assert_eq!((engine.in_line(), engine.handle().clients().len()), (0, 4));
}

#[test]
fn nobody_is_late_whose_hello_waits_for_its_turn() {
    let engine = engine();
    let clients = crowd(&engine, 10);
    go_on(&clients[..9]);
    engine.lag(secs(60));
    assert_eq!(engine.handle().clients().len(), 9);
    clients[9].expect_closed();
}
