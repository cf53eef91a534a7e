"""HTTP/1.1 as Python's http.client speaks it, and what only a raw socket can say."""

import contextlib
import http.client
import os
import re
import threading

from harness import PAGE, PATIENCE, TestbedCase, read_to_end, request, tls_connect, tls_context


class HttpClient(TestbedCase):
    args = ("--max-open-sockets", "50")
    schemes = ("https", "http")

    def connect(self) -> http.client.HTTPSConnection:
        connection = http.client.HTTPSConnection(
            "localhost", self.server.port, timeout=PATIENCE, context=tls_context()
        )
        self.addCleanup(connection.close)
        return connection

    def get(self, connection, path: str) -> bytes:
        connection.request("GET", path)
        return connection.getresponse().read()

    def test_keeps_its_connection(self):
        connection = self.connect()
        self.assertEqual(self.get(connection, "/"), PAGE)
        sock = connection.sock
        for path in ["/1k", "/64k", "/1m", "/nowhere", "/"] * 5:
            self.get(connection, path)
        self.assertIs(connection.sock, sock)

    def test_uploads_chunks_of_any_size(self):
        chunks = [os.urandom(size) for size in [1, 10, 1000, 16384, 16385, 200_000, 7]]
        connection = self.connect()
        connection.request("POST", "/echo", body=iter(chunks), encode_chunked=True,
                           headers={"Transfer-Encoding": "chunked", "Content-Type": "a/b"})
        response = connection.getresponse()
        self.assertEqual(response.status, 200)
        self.assertEqual(response.headers["Content-Type"], "a/b")
        self.assertTrue(response.read() == b"".join(chunks), "the echo differs")
        self.assertEqual(self.get(connection, "/"), PAGE)

    def test_gets_no_body_for_head(self):
        connection = self.connect()
        connection.request("HEAD", "/64k")
        response = connection.getresponse()
        self.assertEqual(response.headers["Content-Length"], "65536")
        self.assertEqual(response.read(), b"")
        self.assertEqual(self.get(connection, "/"), PAGE)

    def test_may_speak_plain_http_to_the_plain_port(self):
        connection = http.client.HTTPConnection(
            "localhost", self.server.ports["http"], timeout=PATIENCE
        )
        self.addCleanup(connection.close)
        self.assertEqual(self.get(connection, "/"), PAGE)
        self.assertEqual(len(self.get(connection, "/1m")), 1 << 20)

    def test_is_told_of_https_when_it_speaks_plain_http_to_the_tls_port(self):
        connection = http.client.HTTPConnection("localhost", self.server.port, timeout=PATIENCE)
        self.addCleanup(connection.close)
        connection.request("GET", "/")
        response = connection.getresponse()
        self.assertEqual(response.status, 400)
        self.assertEqual(response.headers["Connection"], "close")
        self.assertIn(b"https://", response.read())

    def test_many_at_once_each_get_their_own_answer(self):
        failures = []

        def talk(number: int):
            try:
                connection = self.connect()
                for turn in range(20):
                    body = f"client {number}, turn {turn} ".encode() * 500
                    connection.request("POST", "/echo", body=body)
                    if connection.getresponse().read() != body:
                        failures.append(f"client {number} got another body")
            except Exception as error:
                failures.append(f"client {number}: {error!r}")

        threads = [threading.Thread(target=talk, args=(number,)) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual(failures, [])
        self.assertFalse(any(thread.is_alive() for thread in threads))


class SocketLimit(TestbedCase):
    args = ("--max-open-sockets", "4", "--lru-purge", "on", "--workers", "1")

    def test_makes_room_for_new_clients_by_the_least_recently_used(self):
        with contextlib.ExitStack() as stack:
            clients = []
            for _ in range(8):
                clients.append(stack.enter_context(tls_connect(self.server)))
                request(clients[-1])
            self.assertEqual(clients[0].recv(1), b"", "the first one is closed by now")
            # Only its last use counts, not its age.
            request(clients[4])
            request(stack.enter_context(tls_connect(self.server)))
            request(clients[4])
            self.assertEqual(clients[5].recv(1), b"")


class RawSocket(TestbedCase):
    def exchange(self, *parts: bytes) -> bytes:
        """Sends the parts, each in its own TLS record, and reads until the server closes."""
        with tls_connect(self.server) as sock:
            for part in parts:
                sock.sendall(part)
            return read_to_end(sock)

    def test_pipelined_requests_are_answered_in_order(self):
        requests = [
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nfirst",
            b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
            b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"6\r\nsecond\r\n0\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        ]
        for parts in [[b"".join(requests)], requests]:
            with self.subTest(records=len(parts)):
                received = self.exchange(*parts)
                statuses = re.findall(rb"HTTP/1\.1 (\d+)", received)
                self.assertEqual(statuses, [b"200", b"200", b"404", b"200", b"200"])
                order = [received.find(text) for text in [PAGE, b"first", b" 404 ", b"second"]]
                self.assertEqual(order, sorted(order))
                self.assertNotIn(-1, order)
                self.assertTrue(received.endswith(PAGE))

    def test_a_request_in_single_bytes_is_answered(self):
        head = b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n"
        received = self.exchange(*(bytes([byte]) for byte in head + b"\r\nabc"))
        self.assertTrue(received.startswith(b"HTTP/1.1 200"), received)
        self.assertTrue(received.endswith(b"abc"), received)

    def test_what_could_smuggle_a_request_is_refused(self):
        smuggled = b"GET /headers HTTP/1.1\r\nHost: x\r\n\r\n"
        for name, head in {
            "length and chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "two lengths": b"Content-Length: 0\r\nContent-Length: 35\r\n",
            "space before the colon": b"Content-Length : 0\r\n",
            "folded line": b"X-A: b\r\n Content-Length: 0\r\n",
            "bare CR": b"X-A: b\rContent-Length: 0\r\n",
            "a length with a sign": b"Content-Length: +0\r\n",
        }.items():
            with self.subTest(name):
                received = self.exchange(
                    b"POST /echo HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n0\r\n\r\n" + smuggled
                )
                self.assertEqual(re.findall(rb"HTTP/1\.1 (\d+)", received), [b"400"], received)

    def test_what_is_no_http_is_refused(self):
        received = self.exchange(b"\x16\x03\x01 no request at all\r\n\r\n")
        self.assertTrue(received.startswith(b"HTTP/1.1 400"), received)
