//! What happens when there are no file descriptors for another connection.

use std::os::fd::AsFd;
use std::process::Command;

use super::*;

/// Runs in a process of its own, because file descriptors are short for all of its threads.
#[test]
fn without_file_descriptors_connections_wait_for_one_to_be_closed() {
    const CHILD: &str = "ESP_HTTP_SERVER_TEST_SHORTAGE";
    if std::env::var_os(CHILD).is_some() {
        return shortage();
    }
    let name = "without_file_descriptors_connections_wait_for_one_to_be_closed";
    let path = format!("{}::{name}", module_path!().split_once("::").unwrap().1);
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 40 && exec \"$0\" --exact \"$1\" --test-threads 1"])
        .arg(std::env::current_exe().unwrap())
        .arg(path)
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn shortage() {
    let mut bench = Bench::at(&[LOOPBACK, LOOPBACK], 1).remove(0);
    let (_first, id) = bench.pair();
    let mut second = bench.connect();
    // Everything that is left.
    let hoard: Vec<_> =
        std::iter::from_fn(|| bench.net.epoll.as_fd().try_clone_to_owned().ok()).collect();
    assert!(!hoard.is_empty());

    assert_eq!(bench.net.accept(), None);
    assert!(bench.net.short, "it was logged");
    assert!(bench.net.backlogs.paused_until().is_some());
    // The pause ends by itself, once, and an engine that has no room then is not woken for it again.
    bench.until(|net| net.backlogs.paused_until().is_none().then_some(()));
    bench.wait_to_the_end(Duration::from_millis(5));
    assert_eq!(bench.net.accept(), None);

    bench.net.close(id);
    assert_eq!(bench.net.backlogs.paused_until(), None, "one may come in at once");
    assert_eq!(bench.accept(), id);
    second.write_all(b"finally").unwrap();
    assert_eq!(bench.recv_exactly(id, 7), b"finally");
    bench.net.backlogs.reported(0);
    assert_eq!(bench.net.accept(), None, "short again");
    assert!(bench.net.short);

    // What another part of the program gives back is noticed without any close of ours.
    drop(hoard);
    let _third = connect(bench.addrs[1]);
    assert_eq!(bench.accept(), NetId(1));
    assert_eq!(bench.net.accept(), None);
    assert!(!bench.net.short, "it is over, and the next one is worth a line");
}
