//! What accepted sockets inherit of their listener, as the kernel tells it.

use socket2::SockRef;

use super::*;

fn bench(config: HttpConfig) -> Bench {
    Bench::with(&[LOOPBACK], &config, 1).remove(0)
}

#[test]
fn tcp_keep_alive_is_off_unless_asked_for() {
    let mut bench = bench(HttpConfig::default());
    let (_client, id) = bench.pair();
    assert!(!sockopt::socket_keepalive(&bench.net.sockets.of(id).fd).unwrap());
}

#[test]
fn tcp_keep_alive_is_set_on_accepted_sockets_and_rounded_up_to_seconds() {
    let mut bench = bench(HttpConfig {
        keep_alive_enable: true,
        keep_alive_idle: Duration::from_millis(6001),
        keep_alive_interval: Duration::from_secs(8),
        keep_alive_count: 9,
        ..HttpConfig::default()
    });
    let (_client, id) = bench.pair();
    let socket = &bench.net.sockets.of(id).fd;
    assert!(sockopt::socket_keepalive(socket).unwrap());
    assert_eq!(sockopt::tcp_keepidle(socket).unwrap(), Duration::from_secs(7));
    assert_eq!(sockopt::tcp_keepintvl(socket).unwrap(), Duration::from_secs(8));
    assert_eq!(sockopt::tcp_keepcnt(socket).unwrap(), 9);
}

#[test]
fn the_kernel_holds_little_that_is_not_under_way() {
    let mut bench = bench(HttpConfig::default());
    let (_client, id) = bench.pair();
    let socket = SockRef::from(&bench.net.sockets.of(id).fd);
    assert_eq!(socket.tcp_notsent_lowat().unwrap(), 128 * 1024);
}

#[test]
fn the_limits_of_tcp_keep_alive_are_those_of_the_kernel() {
    let mut bench = bench(HttpConfig {
        keep_alive_enable: true,
        keep_alive_idle: Duration::from_secs(32_767),
        keep_alive_interval: Duration::from_secs(32_767),
        keep_alive_count: 127,
        ..HttpConfig::default()
    });
    let (_client, id) = bench.pair();
    assert_eq!(sockopt::tcp_keepcnt(&bench.net.sockets.of(id).fd).unwrap(), 127);
    for config in [
        HttpConfig { keep_alive_idle: Duration::from_secs(32_768), ..HttpConfig::default() },
        HttpConfig { keep_alive_interval: Duration::from_secs(32_768), ..HttpConfig::default() },
        HttpConfig { keep_alive_count: 128, ..HttpConfig::default() },
    ] {
        let config = HttpConfig { keep_alive_enable: true, ..config };
        assert!(listen(&[LOOPBACK], &config, 1).is_err());
    }
}

#[test]
fn a_close_resets_if_so_linger_is_enabled_and_only_then() {
    for enable_so_linger in [false, true] {
        let mut bench = bench(HttpConfig { enable_so_linger, ..HttpConfig::default() });
        let (mut client, id) = bench.pair();
        let socket = &bench.net.sockets.of(id).fd;
        // A time above zero would block the worker in `close`.
        let expected = enable_so_linger.then_some(Duration::ZERO);
        assert_eq!(sockopt::socket_linger(socket).unwrap(), expected);
        bench.net.close(id);
        let end = client.read(&mut [0]);
        assert_eq!(end.is_err(), enable_so_linger, "{end:?}");
    }
}
