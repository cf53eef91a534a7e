//! How much one session may do before others have their turn.

use super::support::*;
use super::ws::{TEXT, frame, frames, upgrade};
use crate::server::{AGAIN_SHARE, BUDGET, HttpConfig, LONE_RECV_LEN, READY_SHARE};
use crate::{Request, Result, WsRequest};

/// An engine that begins three requests in a turn, and notes all of them.
fn engine(log: &Log) -> Engine {
    let (noted, told) = (log.clone(), log.clone());
    let config = HttpConfig { max_requests_per_turn: 3, ..HttpConfig::default() };
    Engine::new(config, |server| {
        server
            .get("/big", |request: &mut Request| -> Result {
                request.respond().send("x".repeat(4_000_000))
            })
            .post("/upload", |request: &mut Request| -> Result {
                let mut buf = vec![0; 100_000];
                while request.recv(&mut buf)? > 0 {}
                path(request)
            })
            .get("/*", move |request: &mut Request| -> Result {
                noted.note(request.path());
                path(request)
            })
            .ws("/ws", move |ws: &mut WsRequest| -> Result {
                let message = ws.message(100)?;
                told.note(String::from_utf8_lossy(message.payload()));
                ws.send(message)
            })
    })
}

/// What is served in which order if `count` requests of one client are there before one of another.
fn order(count: usize) -> String {
    let log = Log::default();
    let engine = engine(&log);
    let (many, one) = (engine.connect(), engine.connect());
    many.put(get("/m").repeat(count));
    one.put(get("/1"));
    engine.poll_once();
    engine.run();
    assert_eq!(many.text(), ok("/m").repeat(count));
    one.expect(ok("/1"));
    log.take().concat()
}

#[test]
fn another_client_is_served_behind_so_many_requests_of_one() {
    assert_eq!(order(2), "/m/m/1");
    assert_eq!(order(3), "/m/m/m/1");
    assert_eq!(order(4), "/m/m/m/1/m");
    assert_eq!(order(7), "/m/m/m/1/m/m/m/m");
}

#[test]
fn another_websocket_is_served_behind_so_many_messages_of_one() {
    for (count, order) in [(2, "mm1"), (3, "mmm1"), (4, "mmm1m")] {
        let log = Log::default();
        let engine = engine(&log);
        let clients = [engine.connect(), engine.connect()];
        clients.iter().for_each(|client| upgrade(client, "/ws"));
        clients[0].put(frame(TEXT, b"m").repeat(count));
        clients[1].put(frame(TEXT, b"1"));
        engine.poll_once();
        engine.run();
        assert_eq!(log.take().concat(), order);
        assert_eq!(frames(&clients[0].received()).len(), count);
        assert_eq!(frames(&clients[1].received()).len(), 1);
    }
}

#[test]
fn no_request_in_a_turn_means_one() {
    let config = HttpConfig { max_requests_per_turn: 0, ..HttpConfig::default() };
    let engine = Engine::new(config, |server| server.get("/*", path));
    let client = engine.connect();
    client.send(get("/a").repeat(5));
    client.expect(ok("/a").repeat(5));
}

/// A turn is 128 kB long, and its last step may add half as much; one call has time for two of them.
/// What one call may move: a turn of 128 kB, whose last step may add as much again as 64 kB.
const MOST: usize = (128 + 64) * 1024 + 4096;

#[test]
fn an_upload_lets_others_be_served_in_between() {
    let log = Log::default();
    let engine = engine(&log);
    let (large, small) = (engine.connect(), engine.connect());
    large.put(post("/upload", &"x".repeat(2_000_000)));
    for _ in 0..5 {
        let before = large.unread();
        small.put(get("/1"));
        engine.poll_once();
        small.expect(ok("/1"));
        let moved = before - large.unread();
        assert!((1..=MOST).contains(&moved), "{moved}");
    }
    engine.run();
    large.expect(ok("/upload"));
}

#[test]
fn a_download_lets_others_be_served_in_between() {
    let log = Log::default();
    let engine = engine(&log);
    let (large, small) = (engine.connect(), engine.connect());
    large.put(get("/big"));
    let mut received = 0;
    for _ in 0..5 {
        small.put(get("/1"));
        engine.poll_once();
        small.expect(ok("/1"));
        let moved = large.received().len();
        assert!((1..=MOST).contains(&moved), "{moved}");
        received += moved;
    }
    engine.run();
    received += large.received().len();
    assert_eq!(received, ok("").len() + "4000000".len() - 1 + 4_000_000);
}

#[test]
fn an_unread_body_is_dropped_in_turns_too() {
    let config = HttpConfig { purge_len: 4_000_000, ..HttpConfig::default() };
    let engine = Engine::new(config, |server| {
        server
            .post("/unread", |request: &mut Request| -> Result { request.respond().send("") })
            .get("/*", path)
    });
    let (large, small) = (engine.connect(), engine.connect());
    large.put(post("/unread", &"x".repeat(3_000_000)) + &get("/a"));
    small.put(get("/1"));
    engine.poll_once();
    small.expect(ok("/1"));
    assert!(large.unread() >= 3_000_000 - MOST, "{}", large.unread());
    engine.run();
    large.expect(ok("") + &ok("/a"));
}

/// However many send as fast as they can, a turn of the server stays as long, and all have their turn.
#[test]
fn the_more_clients_send_the_less_is_received_of_each_in_a_turn() {
    for count in [1, 2, 3, 32, 33, 500] {
        let engine = engine(&Log::default());
        let good = engine.connect();
        let clients: Vec<_> = (0..count).map(|_| engine.connect()).collect();
        clients.iter().for_each(|client| client.put(post("/upload", &"x".repeat(200_000))));
        let unread = || clients.iter().map(|client| client.unread()).collect::<Vec<_>>();

        // Those that have just become ready.
        let share = match count {
            1 => LONE_RECV_LEN,
            _ => (BUDGET.recv_len / count).max(READY_SHARE.recv_len),
        };
        let before = unread();
        engine.poll_once();
        for (client, before) in clients.iter().zip(before) {
            let moved = before - client.unread();
            // The last read begins below the share.
            assert!((1..2 * share).contains(&moved), "{moved} of one of {count}");
        }

        // Those that have more to do, some in each turn.
        let share = share.max(AGAIN_SHARE.recv_len);
        let before = unread();
        for _ in 0..usize::div_ceil(count * share, BUDGET.recv_len) {
            let before: usize = unread().iter().sum();
            good.put(get("/good"));
            engine.poll_once();
            good.expect(ok("/good"));
            let moved = before - unread().iter().sum::<usize>();
            assert!(moved < BUDGET.recv_len.max(share) + 2 * share, "{moved} of {count}");
        }
        for (client, before) in clients.iter().zip(before) {
            assert!(before - client.unread() >= share.min(before), "one of {count}");
        }
        engine.run();
        clients.iter().for_each(|client| client.expect(ok("/upload")));
    }
}

/// The same for requests.
#[test]
fn the_more_clients_pipeline_the_fewer_requests_of_each_are_begun_in_a_turn() {
    for count in [1, 2, 3, 8, 9, 32, 33, 100] {
        let engine = Engine::new(HttpConfig::default(), |server| server.get("/*", path));
        let clients: Vec<_> = (0..count).map(|_| engine.connect()).collect();
        clients.iter().for_each(|client| client.put(get("/a").repeat(40)));
        let begun = || clients.iter().map(|client| client.begun()).collect::<Vec<_>>();

        let most = HttpConfig::default().max_requests_per_turn;
        let fair = BUDGET.requests / count;
        engine.poll_once();
        assert_eq!(begun(), vec![fair.max(READY_SHARE.requests).min(most); count]);

        let share = fair.max(AGAIN_SHARE.requests).min(most);
        let before = begun();
        engine.poll_once();
        let each = begun().into_iter().zip(before).map(|(now, before)| now - before);
        let each: Vec<_> = each.filter(|begun| *begun > 0).collect();
        assert!(each.iter().all(|begun| *begun <= share), "{each:?} of {count}");
        let all: usize = each.iter().sum();
        let due = (count * share).min(BUDGET.requests);
        assert!((8.min(due)..BUDGET.requests + share).contains(&all), "{all} of {count}");
        engine.run();
        clients.iter().for_each(|client| client.expect(ok("/a").repeat(40)));
    }
}
