"""The server as a process: it stops when it is asked to, whatever its clients do."""

import asyncio
import signal
import socket
import subprocess
import time
import unittest

from websockets.exceptions import ConnectionClosed

from harness import (
    DEV_CERTS,
    PATIENCE,
    Server,
    client_hello,
    make_certs,
    program,
    request,
    temporary_folder,
    tls_connect,
)
from test_websockets import soon, ws_connect

SIGNALS = (signal.SIGINT, signal.SIGTERM)

# Seconds in which a server has stopped, with time for the farewells of its clients.
SOON = 5.0


def start() -> Server:
    """A testbed whose end is up to the test."""
    return Server("testbed", "--https", "0")


class Stop(unittest.TestCase):
    def check_stops(self, server: Server, by: signal.Signals):
        asked = time.monotonic()
        self.assertEqual(server.stop(by), 0, server.errors())
        self.assertLess(time.monotonic() - asked, SOON)

    def test_without_clients(self):
        for by in SIGNALS:
            with self.subTest(by.name), start() as server:
                self.check_stops(server, by)

    def test_beside_an_idle_connection(self):
        for by in SIGNALS:
            with self.subTest(by.name), start() as server, tls_connect(server) as sock:
                request(sock)
                self.check_stops(server, by)
                self.assertEqual(sock.recv(1), b"", "the client sees a clean end of TLS")

    def test_beside_a_handshake(self):
        for by in SIGNALS:
            with self.subTest(by.name), start() as server, tls_connect(server) as good:
                with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as sock:
                    sock.sendall(client_hello()[:100])
                    request(good)
                    self.check_stops(server, by)

    def test_beside_a_handler_that_waits(self):
        for by in SIGNALS:
            with self.subTest(by.name), start() as server, tls_connect(server) as good:
                with tls_connect(server) as sock:
                    sock.sendall(b"GET /sleep?ms=60000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    request(good)
                    self.check_stops(server, by)

    def test_beside_a_client_that_never_reads(self):
        for by in SIGNALS:
            with self.subTest(by.name), start() as server, tls_connect(server) as good:
                with tls_connect(server) as sock:
                    path = b"/stream?chunks=100000&size=10000"
                    sock.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    request(good)
                    self.check_stops(server, by)


class StopWithWebSockets(unittest.IsolatedAsyncioTestCase):
    async def test_says_goodbye(self):
        for by in SIGNALS:
            with self.subTest(by.name), start() as server:
                async with ws_connect(server) as ws:
                    await soon(ws.send("hello"))
                    self.assertEqual(await soon(ws.recv()), "hello")
                    code = await asyncio.to_thread(server.stop, by)
                    self.assertEqual(code, 0, server.errors())
                    with self.assertRaises(ConnectionClosed) as closed:
                        await soon(ws.recv())
                # RFC 6455 section 7.4.1: 1001 is a server going down.
                self.assertIsNotNone(closed.exception.rcvd, "closed without a close frame")
                self.assertEqual(closed.exception.rcvd.code, 1001)


class Start(unittest.TestCase):
    def refusal(self, *args) -> str:
        """Starts a testbed that has to refuse; returns its complaint."""
        done = subprocess.run(
            [program("testbed"), "--https", "0", *map(str, args)],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn("listening", done.stdout)
        self.assertNotIn("panicked", done.stderr)
        return done.stderr

    def test_with_the_key_of_another_certificate_is_refused(self):
        folder = temporary_folder(self) / "certs"
        make_certs(folder)
        complaint = self.refusal("--cert", folder / "server.pem", "--key", DEV_CERTS / "server.key")
        self.assertRegex(complaint, r"(?i)key")

    def test_with_a_file_that_is_missing_names_it(self):
        missing = temporary_folder(self) / "nowhere.pem"
        complaint = self.refusal("--cert", missing, "--key", DEV_CERTS / "server.key")
        self.assertIn(str(missing), complaint)
