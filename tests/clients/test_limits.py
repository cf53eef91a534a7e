"""Limits, timeouts and addresses, as a client meets them."""

import contextlib
import re
import socket
import subprocess
import time
import unittest
from pathlib import Path

from harness import (
    PAGE,
    PATIENCE,
    TestbedCase,
    curl,
    program,
    read_to_end,
    request,
    testbed,
    tls_connect,
)

# What a short timeout may take on a slow machine, in seconds.
SOON = 5.0


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


class Addresses(unittest.TestCase):
    def listening(self, server, count: int) -> list[str]:
        """The addresses that the server says it listens on; the harness has read the first."""
        urls = [server.url()]
        while len(urls) < count:
            line = server.lines.get(timeout=PATIENCE)
            urls.append(re.fullmatch(r"listening on (https://.+)", line)[1] + "/")
        return urls

    def test_all_of_a_list_are_served(self):
        with testbed("--listen", "127.0.0.1:0,lo:0,0") as server:
            urls = self.listening(server, 3)
            self.assertEqual(len(set(urls)), 3)
            for url in urls:
                [page] = curl([url])
                self.assertEqual(page.body, PAGE)

    def test_others_are_not(self):
        with testbed("--listen", "127.0.0.1:0") as server:
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.2", server.port), timeout=PATIENCE)

    def test_one_that_cannot_be_had_ends_the_start(self):
        for addr, says in [
            ("nowhere0:8443", "no such interface; `ip link`"),
            ("192.0.2.253:8443", "no such address; `ip address`"),
        ]:
            command = [program("testbed"), "--https", "0", "--listen", f"127.0.0.1:0,{addr}"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
            self.assertNotEqual(done.returncode, 0)
            self.assertNotIn("listening", done.stdout)
            self.assertIn(f"can't listen on {addr}", done.stderr)
            self.assertIn(says, done.stderr)


class Cookies(TestbedCase):
    def test_of_a_whole_domain_are_taken_by_default(self):
        # As many as Chromium and Firefox keep for a domain.
        cookies = "; ".join(f"name-{number:03}=" + "x" * 150 for number in range(180))
        self.assertGreater(len(cookies), 28_000)
        # Not as `--cookie`: curl cuts that short.
        [echo] = curl(["--header", f"Cookie: {cookies}", self.server.url("/headers")])
        self.assertEqual(echo.status, 200)
        self.assertTrue(f"Cookie: {cookies}\n" in echo.body.decode(), "not all of them arrived")


class RequestsPerSession(TestbedCase):
    args = ("--max-requests-per-session", "2")

    def test_the_last_one_says_so_and_the_next_takes_another_connection(self):
        first, second, third = curl(*[[self.server.url()]] * 3)
        self.assertEqual([first.status, second.status, third.status], [200] * 3)
        self.assertIsNone(first.field("Connection"))
        self.assertEqual(second.field("Connection"), "close")
        new = [transfer.is_new_connection for transfer in (first, second, third)]
        self.assertEqual(new, [True, False, True])


class Timeouts(TestbedCase):
    args = ("--idle-timeout-ms", "300", "--head-timeout-ms", "300", "--recv-wait-timeout-ms", "300")
    schemes = ("http", "https")

    @contextlib.contextmanager
    def soon(self, at_least: float = 0.25):
        begun = time.monotonic()
        yield
        self.assertGreater(time.monotonic() - begun, at_least)
        self.assertLess(time.monotonic() - begun, SOON)

    def test_an_idle_session_is_closed_and_told_so_by_tls(self):
        with tls_connect(self.server) as sock:
            request(sock)
            with self.soon():
                self.assertEqual(sock.recv(1), b"", "an end with close_notify")

    def test_a_head_that_stops_is_408(self):
        with connect(self.server.ports["http"]) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: lo")
            with self.soon():
                self.assertRegex(read_to_end(sock), rb"^HTTP/1\.1 408 ")

    def test_a_body_that_stops_is_408(self):
        with connect(self.server.ports["http"]) as sock:
            sock.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
            with self.soon():
                self.assertRegex(read_to_end(sock), rb"^HTTP/1\.1 408 ")


class FullTable(TestbedCase):
    args = ("--workers", "1", "--max-open-sockets", "2", "--lru-purge", "off")
    schemes = ("http",)

    def cpu_time(self) -> float:
        """Seconds of CPU that the threads of the server have used."""
        stats = Path(f"/proc/{self.server.pid}/task").glob("*/schedstat")
        return sum(int(stat.read_text().split()[0]) for stat in stats) / 1e9

    def test_connections_wait_in_the_backlog_at_no_cost_until_one_leaves(self):
        port = self.server.ports["http"]
        ask = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        with connect(port) as one, connect(port) as two, connect(port) as three:
            for sock in (one, two, three):
                sock.sendall(ask)
            self.assertRegex(one.recv(4096), rb"^HTTP/1\.1 200 ")
            self.assertRegex(two.recv(4096), rb"^HTTP/1\.1 200 ")
            used = self.cpu_time()
            three.settimeout(0.5)
            with self.assertRaises(TimeoutError):
                three.recv(1)
            self.assertLess(self.cpu_time() - used, 0.1, "it spins")
            three.settimeout(PATIENCE)
            one.close()
            self.assertRegex(three.recv(4096), rb"^HTTP/1\.1 200 ")
