//! How much one session may do before others have their turn.

use std::time::Duration;

use super::support::*;
use super::ws::{TEXT, UPGRADE, frame, frames, upgrade};
use crate::server::share::{AGAIN_SHARE, BUDGET, LONE_RECV_LEN, READY_SHARE};
use crate::server::{HandlerMode, HttpConfig};
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
            // Both of those that come first and of the rest.
            assert!(moved < 2 * (BUDGET.recv_len.max(share) + share), "{moved} of {count}");
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
        let each = begun().into_iter().zip(&before).map(|(now, before)| now - before);
        let each: Vec<_> = each.filter(|begun| *begun > 0).collect();
        assert!(each.iter().all(|begun| *begun <= share), "{each:?} of {count}");
        let all: usize = each.iter().sum();
        let left = 40 - before[0];
        let due = (count * share.min(left)).min(BUDGET.requests);
        assert!((due..BUDGET.requests + share).contains(&all), "{all} of {count}");
        engine.run();
        clients.iter().for_each(|client| client.expect(ok("/a").repeat(40)));
    }
}

/// Clients that send more than the engine gets through, so many of them, and the engine in the middle of it.
fn beside_flooders(count: usize, config: HttpConfig, check: impl FnOnce(&Engine, Client)) {
    let engine = Engine::new(config, |server| {
        server
            .post("/upload", |request: &mut Request| -> Result {
                let len = request.recv_all(200_000)?.len();
                request.respond().send(len.to_string())
            })
            .get("/*", path)
            .ws("/ws", |ws: &mut WsRequest| -> Result { ws.message(100).map(drop) })
    });
    let good = engine.connect();
    let flooders: Vec<_> = (0..count).map(|_| engine.connect()).collect();
    for (number, flooder) in flooders.iter().enumerate() {
        match number % 2 {
            0 => flooder.put(post("/upload", &"x".repeat(150_000))),
            _ => flooder.put(get("/flood").repeat(200)),
        }
    }
    // Until all have had their first shares.
    (0..30).for_each(|_| engine.poll_once());
    check(&engine, good);
    engine.run();
    for (number, flooder) in flooders.iter().enumerate() {
        match number % 2 {
            0 => flooder.expect(ok("150000")),
            _ => flooder.expect(ok("/flood").repeat(200)),
        }
    }
}

#[test]
fn a_form_that_is_more_than_a_first_share_waits_for_no_flooder() {
    beside_flooders(60, HttpConfig::default(), |engine, good| {
        for len in [3_000, 15_000] {
            good.put(post("/upload", &"x".repeat(len)));
            (0..2).for_each(|_| engine.poll_once());
            good.expect(ok(&len.to_string()));
        }
    });
}

#[test]
fn a_push_waits_for_no_flooder() {
    beside_flooders(60, HttpConfig::default(), |engine, good| {
        good.put(UPGRADE);
        engine.poll_once();
        good.received();
        engine.handle().ws_client(good.session()).send("hello").unwrap();
        engine.poll_once();
        assert_eq!(frames(&good.received()), [(TEXT, b"hello".to_vec())]);
    });
}

#[test]
fn a_session_has_one_place_in_line_however_often_it_is_reported() {
    beside_flooders(60, HttpConfig::default(), |engine, good| {
        for _ in 0..20 {
            good.put(get("/good").repeat(3));
            engine.put_reports();
            engine.poll_once();
            assert!(
                (30..=61).contains(&engine.in_line_for_more()),
                "{}",
                engine.in_line_for_more()
            );
        }
        engine.run();
        assert_eq!(engine.in_line_for_more(), 0);
        good.expect(ok("/good").repeat(60));
    });
}

#[test]
fn who_leaves_leaves_the_line() {
    let engine = engine(&Log::default());
    let clients: Vec<_> = (0..10).map(|_| engine.connect()).collect();
    clients.iter().for_each(|client| client.put(get("/a").repeat(40)));
    engine.poll_once();
    assert_eq!(engine.in_line_for_more(), 10);
    let handle = engine.handle();
    clients.iter().for_each(|client| handle.close(client.session()).unwrap());
    engine.poll_once();
    assert_eq!(engine.in_line_for_more(), 0);
}

/// Clients that have sent a head each, larger than a first share, of which the engine has had that share.
fn with_long_heads(check: impl FnOnce(&Engine, &[Client], usize)) {
    let engine = Engine::new(HttpConfig::default(), |server| server.get("/*", path));
    let clients: Vec<_> = (0..100).map(|_| engine.connect()).collect();
    let head = format!("GET /a HTTP/1.1\r\nHost: a\r\nCookie: {}\r\n\r\n", "c".repeat(20_000));
    clients.iter().for_each(|client| client.put(&head));
    engine.poll_once();
    check(&engine, &clients, head.len());
    engine.run();
    clients.iter().for_each(|client| client.expect(ok("/a")));
}

#[test]
fn heads_are_received_in_shares_too() {
    with_long_heads(|_, clients, head_len| {
        for client in clients {
            let moved = head_len - client.unread();
            assert!((1..2 * READY_SHARE.recv_len).contains(&moved), "{moved}");
        }
    });
}

#[test]
fn who_waits_for_his_turn_is_not_late() {
    with_long_heads(|engine, _, _| engine.lag(2 * HttpConfig::default().head_timeout));
}

#[test]
fn handlers_that_waited_for_another_start_in_shares_too() {
    let log = Log::default();
    let noted = log.clone();
    let config = HttpConfig { handler_mode: HandlerMode::Serial, ..HttpConfig::default() };
    let engine = Engine::new(config, |server| {
        server
            .post("/slow", |request: &mut Request| -> Result {
                let body = request.recv_all(100)?;
                request.respond().send(body)
            })
            .get("/*", move |request: &mut Request| -> Result {
                noted.note(request.path());
                path(request)
            })
    });
    let slow = engine.connect();
    slow.send("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n");
    let clients: Vec<_> = (0..200).map(|_| engine.connect()).collect();
    clients.iter().for_each(|client| client.send(get("/a")));
    assert_eq!(log.take().len(), 0);
    slow.put("x");
    engine.poll_once();
    let begun = log.take().len();
    assert!((1..=BUDGET.requests).contains(&begun), "{begun}");
    engine.run();
    assert_eq!(log.take().len(), 200 - begun);
    clients.iter().for_each(|client| client.expect(ok("/a")));
}

/// Clients of which nothing more is wanted, and that send as fast as they can.
#[test]
fn who_sends_on_and_on_does_not_put_off_the_end() {
    let config = HttpConfig::default();
    let (linger_timeout, step) = (config.linger_timeout, config.linger_timeout / 10);
    let engine = Engine::new(config, |server| server.get("/*", path));
    let clients: Vec<_> = (0..3).map(|_| engine.connect()).collect();
    clients.iter().for_each(|client| client.send("no request\r\n\r\n"));
    let mut waited = Duration::ZERO;
    while clients.iter().any(|client| !client.is_closed()) {
        assert!(waited <= linger_timeout + step, "still open");
        clients.iter().for_each(|client| client.put("x".repeat(100_000)));
        (0..2).for_each(|_| engine.poll_once());
        engine.pass(step);
        waited += step;
    }
    assert!(waited >= linger_timeout, "{waited:?}");
}
