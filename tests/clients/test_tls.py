"""TLS as four clients see it, in both versions: who is let in, what is agreed on, and what comes in
odd pieces."""

import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import unittest
from pathlib import Path

from harness import (PAGE, PATIENCE, Server, TestbedCase, read_to_end, temporary_folder, testbed,
                     wait_for)
from pki import Authority
from tls_clients import CLIENTS, VERSIONS, GnuTls, OpenSsl, PythonSsl, Refused


def every_way():
    return [(client, version) for client in CLIENTS for version in VERSIONS]


class MutualTls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = Path(tempfile.mkdtemp(prefix="mutual-tls-"))
        cls.addClassCleanup(shutil.rmtree, folder)
        ours, theirs = Authority(folder / "ours"), Authority(folder / "theirs")
        # Of the same name, so that a client sends it although the server asks for others.
        alt_names = "DNS:localhost,IP:127.0.0.1"
        server = ours.issue("localhost", "serverAuth", alt_names=alt_names)
        cls.ca = ours.cert
        cls.good = ours.issue("member", "clientAuth")
        cls.refused = {
            "missing": (None, "certificate required|handshake failure"),
            "of another CA": (theirs.issue("member", "clientAuth"), "unknown ca|bad certificate|"
                              "decrypt error"),
            "expired": (ours.issue("member", "clientAuth", days=-1), "certificate expired"),
            "for servers": (ours.issue("member", "serverAuth"), "unsupported certificate|"
                            "bad certificate|certificate unknown"),
        }
        revoked = ours.issue("former member", "clientAuth")
        cls.refused["revoked"] = (revoked, "certificate revoked")
        files = ["--cert", server.cert, "--key", server.key, "--client-ca", ours.cert,
                 "--crl", ours.revoke(revoked)]
        cls.args = [str(arg) for arg in files]

    def test_a_good_certificate_is_let_in(self):
        with testbed(*self.args) as server:
            for client, version in every_way():
                with self.subTest(client=client.__name__, version=version):
                    self.assertEqual(client(self.ca, self.good).get(server, version), PAGE)

    def test_others_are_refused(self):
        for auth, cases in [("required", self.refused), ("optional", list(self.refused)[1:])]:
            with testbed(*self.args, "--client-auth", auth) as server:
                for case in cases:
                    for client, version in every_way():
                        with self.subTest(auth, case=case, client=client.__name__, version=version):
                            identity, _ = self.refused[case]
                            with self.assertRaises(Refused):
                                client(self.ca, identity).get(server, version)
                # Nobody has hurt it.
                self.assertEqual(OpenSsl(self.ca, self.good).get(server, "1.3"), PAGE)

    def test_the_alert_says_why(self):
        with testbed(*self.args) as server:
            for case, (identity, alert) in self.refused.items():
                for version in VERSIONS:
                    with self.subTest(case, version=version):
                        output = OpenSsl(self.ca, identity).run(server, version)
                        self.assertRegex(output, f"alert ({alert})")

    def test_without_one_a_client_is_let_in_if_it_is_optional(self):
        with testbed(*self.args, "--client-auth", "optional") as server:
            for client, version in every_way():
                with self.subTest(client=client.__name__, version=version):
                    self.assertEqual(client(self.ca).get(server, version), PAGE)


class Alpn(TestbedCase):
    args = ("--alpn", "second,first")

    def test_the_server_prefers(self):
        for version in VERSIONS:
            with self.subTest(version):
                offer = ["first", "second"]
                with PythonSsl(alpn=offer).connect(self.server, version) as sock:
                    self.assertEqual(sock.selected_alpn_protocol(), "second")
                output = OpenSsl(alpn=offer).run(self.server, version)
                self.assertIn("ALPN protocol: second", output)
                self.assertIn("second", GnuTls(alpn=offer).run(self.server, version))

    def test_nothing_in_common_is_an_alert(self):
        for version in VERSIONS:
            with self.subTest(version):
                with self.assertRaises(ssl.SSLError):
                    PythonSsl(alpn=["h2"]).connect(self.server, version)
                output = OpenSsl(alpn=["h2"]).run(self.server, version)
                self.assertIn("alert no application protocol", output)
                output = GnuTls(alpn=["h2"]).run(self.server, version)
                self.assertIn("Received alert [120]", output)

    def test_is_not_needed(self):
        for client, version in every_way():
            if client.__name__ == "Curl":
                continue  # it always offers some
            with self.subTest(client=client.__name__, version=version):
                self.assertEqual(client().get(self.server, version), PAGE)


class CipherSuites(TestbedCase):
    # TLS_CHACHA20_POLY1305_SHA256 and TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384.
    args = ("--cipher-suites", "0x1303,0xc02c")
    suites = {"1.2": "ECDHE-ECDSA-AES256-GCM-SHA384", "1.3": "TLS_CHACHA20_POLY1305_SHA256"}

    def test_only_those_are_spoken(self):
        for version, suite in self.suites.items():
            with self.subTest(version):
                output = OpenSsl().run(self.server, version)
                self.assertIn(f"Cipher is {suite}", output)
                self.assertIn(PAGE.decode(), output)
        for version, suite in [("1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"),
                               ("1.3", "TLS_AES_128_GCM_SHA256")]:
            with self.subTest(version, suite=suite):
                output = OpenSsl(suites=suite).run(self.server, version)
                self.assertIn("alert handshake failure", output)


class Resumption(TestbedCase):
    args = ("--session-tickets", "on", "--session-ids", "100")

    def test_by_a_ticket(self):
        for version in VERSIONS:
            with self.subTest(version):
                client = PythonSsl()
                context = client.context(version)
                session = None
                for is_resumed in [False, True, True]:
                    with client.connect(self.server, version, session, context) as sock:
                        self.assertEqual(sock.session_reused, is_resumed)
                        sock.sendall(client.request("/"))
                        self.assertIn(PAGE, sock.recv(16384))
                        session = sock.session

    def test_by_the_id_in_tls_1_2(self):
        folder = Path(tempfile.mkdtemp(prefix="session-"))
        self.addCleanup(shutil.rmtree, folder)
        session = str(folder / "session")
        first = OpenSsl().run(self.server, "1.2", "/", "-no_ticket", "-sess_out", session)
        self.assertIn("New, TLSv1.2", first)
        second = OpenSsl().run(self.server, "1.2", "/", "-no_ticket", "-sess_in", session)
        self.assertIn("Reused, TLSv1.2", second)
        self.assertIn(PAGE.decode(), second)

    def test_by_gnutls(self):
        for version in VERSIONS:
            with self.subTest(version):
                output = GnuTls().run(self.server, version, "/", "--resume", "--waitresumption")
                self.assertIn("This is a resumed session", output)


class SharedTicketKeys(unittest.TestCase):
    def setUp(self):
        folder = temporary_folder(self)
        self.keys = {}
        for name in ["old", "new", "foreign"]:
            self.keys[name] = folder / name
            self.keys[name].write_bytes(os.urandom(80))
        self.session = folder / "session"

    def server(self, *keys: str):
        files = ",".join(str(self.keys[key]) for key in keys)
        return self.enterContext(testbed("--ticket-keys", files, "--workers", "2"))

    def is_resumed(self, server, version: str, *flags: str) -> bool:
        output = OpenSsl().run(server, version, "/", *flags)
        self.assertIn(PAGE.decode(), output)
        self.assertRegex(output, f"(New|Reused), TLSv{version}")
        return "Reused, " in output

    def test_servers_resume_each_others_sessions(self):
        first, second = self.server("old"), self.server("old")
        foreign = self.server("foreign")
        save, load = ("-sess_out", str(self.session)), ("-sess_in", str(self.session))
        for version in VERSIONS:
            with self.subTest(version):
                self.assertFalse(self.is_resumed(first, version, *save))
                self.assertTrue(self.is_resumed(second, version, *load, *save))
                self.assertTrue(self.is_resumed(first, version, *load))
                self.assertFalse(self.is_resumed(foreign, version, *load))

    def test_a_key_gives_way_to_another_without_losing_sessions(self):
        old, both, new = self.server("old"), self.server("new", "old"), self.server("new")
        for version in VERSIONS:
            with self.subTest(version):
                client = PythonSsl()
                context = client.context(version)
                session = None
                for server, is_resumed in [(old, False), (both, True), (new, True), (old, False)]:
                    with client.connect(server, version, session, context) as sock:
                        self.assertEqual(sock.session_reused, is_resumed)
                        sock.sendall(client.request("/"))
                        self.assertIn(PAGE, sock.recv(16384))
                        session = sock.session


class Records(TestbedCase):
    def exchange(self, version: str, pieces) -> bytes:
        with PythonSsl().connect(self.server, version) as sock:
            for piece in pieces:
                sock.sendall(piece)
            return sock.recv(16384)

    def test_of_one_byte(self):
        request = PythonSsl().request("/")
        for version in VERSIONS:
            with self.subTest(version):
                pieces = [request[at:at + 1] for at in range(len(request))]
                self.assertIn(PAGE, self.exchange(version, pieces))

    def test_of_16_kb(self):
        head = b"POST /collect HTTP/1.1\r\nHost: localhost\r\nContent-Length: 32768\r\n\r\n"
        # The first is full with a head and a part of the body, the others with nothing but body.
        request = head + bytes(32768)
        for version in VERSIONS:
            with self.subTest(version):
                pieces = [request[at:at + 16384] for at in range(0, len(request), 16384)]
                self.assertIn(b"32768 bytes", self.exchange(version, pieces))

    def test_that_are_sent_are_full(self):
        for version in VERSIONS:
            with self.subTest(version):
                self.assertEqual(max(plain_lens(self.server, version)), 16384)

    def test_that_are_sent_can_be_limited(self):
        with testbed("--max-fragment-len", "1024") as server:
            for version in VERSIONS:
                with self.subTest(version):
                    lens = plain_lens(server, version)
                    self.assertEqual(max(lens), 1024)
                    self.assertGreaterEqual(sum(lens), 65536)


def plain_lens(server, version: str) -> list[int]:
    """How much plain text each record of a response of 64 kB holds."""
    with BytesBetween(server, version) as client:
        client.tls.write(PythonSsl().request("/64k"))
        client.send()
        return [len(plain) for plain in client.records()]


class BytesBetween:
    """A client that has its ciphertext in its own hands."""

    def __init__(self, server, version: str):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = PythonSsl().context(version)
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.sock = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
        while True:
            try:
                return self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.send()
                self.incoming.write(self.sock.recv(65536))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self):
        self.sock.sendall(self.outgoing.read())

    def records(self):
        """The plain text of each record, to the end of the connection; its last is close_notify."""
        held, is_whole = b"", False
        while part := self.sock.recv(65536):
            held += part
            while len(held) >= 5 and len(held) >= (record_len := 5 + int.from_bytes(held[3:5])):
                self.incoming.write(held[:record_len])
                held = held[record_len:]
                try:
                    if plain := self.tls.read(65536):
                        yield plain
                    else:
                        is_whole = True
                except ssl.SSLWantReadError:
                    pass  # not for the application
                except ssl.SSLZeroReturnError:
                    is_whole = True
        assert is_whole and not held, "the end was cut off"


class Interactive:
    """`openssl s_client` that is typed to."""

    def __init__(self, server, version: str):
        self.process = subprocess.Popen(
            ["timeout", str(int(PATIENCE)), *OpenSsl().command(server, version)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        self.output = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def type(self, text: bytes):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def expect(self, text: bytes):
        while text not in self.output:
            part = self.process.stdout.read1(65536)
            if not part:
                raise AssertionError(f"no {text!r} in {self.output.decode(errors='replace')}")
            self.output += part


class KeysAndEnds(TestbedCase):
    def test_keys_are_updated_whenever_the_client_likes(self):
        with Interactive(self.server, "1.3") as client:
            self.update_keys(client, b"K", 3)  # asks for ours, too

    def test_keys_of_the_client_alone_are_updated_too(self):
        with Interactive(self.server, "1.3") as client:
            self.update_keys(client, b"k", 40)  # more than may follow each other without data

    def update_keys(self, client, command, times):
        client.expect(b"Verify return code: 0")
        for _ in range(times):
            client.type(command + b"\n")
            client.expect(b"KEYUPDATE")
            client.output = b""
            client.type(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            client.expect(PAGE)

    def test_renegotiation_is_refused(self):
        with Interactive(self.server, "1.2") as client:
            client.expect(b"Verify return code: 0")
            client.type(b"R\n")
            client.expect(b"no renegotiation")
        self.assertEqual(OpenSsl().get(self.server, "1.2"), PAGE)

    def test_renegotiation_is_refused_to_gnutls(self):
        # It insists, in spite of the alert, which ends its own session and nobody else's.
        with PythonSsl().connect(self.server, "1.2") as other:
            output = GnuTls().run(self.server, "1.2", "/", "--rehandshake")
            self.assertIn("Received alert [100]: No renegotiation is allowed", output)
            self.assertIn("ReHandshake has failed", output)
            other.sendall(PythonSsl().request("/"))
            self.assertIn(PAGE, other.recv(16384))

    def test_a_client_may_finish_sending_and_still_reads_its_answer(self):
        for version in VERSIONS:
            with self.subTest(version), BytesBetween(self.server, version) as client:
                client.tls.write(PythonSsl().request("/64k"))
                with self.assertRaises(ssl.SSLWantReadError):
                    client.tls.unwrap()  # sends close_notify
                client.send()
                # OpenSSL reads nothing more after that, but the records are there to the last.
                received_len = 0
                while part := client.sock.recv(65536):
                    received_len += len(part)
                self.assertGreater(received_len, 65536)

    def test_a_client_that_just_goes_leaves_nothing_behind(self):
        before = wait_for(lambda: self.server.file_count(), "its files")
        for version in VERSIONS:
            for sent in [b"", b"GET / HT", b"POST /collect HTTP/1.1\r\nHost: a\r\n"
                         b"Content-Length: 10\r\n\r\nhalf"]:
                with PythonSsl().connect(self.server, version) as sock:
                    sock.sendall(sent)
                    # Without close_notify: that is the socket's end and not the session's.
        wait_for(lambda: self.server.file_count() <= before, "the last of them to be closed")
        self.assertEqual(OpenSsl().get(self.server, "1.3"), PAGE)


class CloseNotify(unittest.TestCase):
    """Whoever ends a session in order, the client can tell it from a connection that was cut."""

    request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    upgrade = (b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
               b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
               b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")

    def check(self, *args: str, sent: bytes = request, then=lambda server: None):
        for version in VERSIONS:
            with self.subTest(version), testbed("--workers", "1", *args) as server:
                with PythonSsl().connect(server, version) as sock:
                    sock.sendall(sent)
                    self.assertIn(b"HTTP/1.1 ", sock.recv(16384))
                    kept = then(server)
                    # An end without close_notify would be an SSLEOFError.
                    read_to_end(sock)
                    if kept:
                        kept.close()

    def test_when_the_client_asks_to_close(self):
        self.check(sent=PythonSsl().request("/"))

    def test_after_the_last_request_of_a_session(self):
        self.check("--max-requests-per-session", "1")

    def test_after_a_session_without_requests(self):
        self.check("--idle-timeout-ms", "300")

    def test_when_another_needs_the_place(self):
        self.check("--max-open-sockets", "1",
                   then=lambda server: PythonSsl().connect(server, "1.3"))

    def test_after_a_bad_head(self):
        self.check(sent=b"GET\x00/ HTTP/1.1\r\n\r\n")

    def test_after_half_a_head(self):
        self.check("--head-timeout-ms", "300", sent=b"GET / HT")

    def test_after_a_websocket(self):
        for version in VERSIONS:
            with self.subTest(version), testbed() as server:
                with PythonSsl().connect(server, version) as sock:
                    sock.sendall(self.upgrade)
                    self.assertIn(b"HTTP/1.1 101 ", sock.recv(16384))
                    sock.sendall(b"\x88\x82\0\0\0\0\x03\xe8")
                    self.assertEqual(read_to_end(sock), b"\x88\x02\x03\xe8")

    def test_when_the_server_stops(self):
        for version in VERSIONS:
            with self.subTest(version), Server("testbed", "--https", "0") as server:
                with PythonSsl().connect(server, version) as sock:
                    sock.sendall(self.request)
                    self.assertIn(PAGE, sock.recv(16384))
                    self.assertEqual(server.stop(), 0)
                    self.assertEqual(read_to_end(sock), b"")

    def test_when_the_client_has_said_it(self):
        for version in VERSIONS:
            with self.subTest(version), testbed() as server:
                with PythonSsl().connect(server, version) as sock:
                    sock.sendall(self.request)
                    self.assertIn(PAGE, sock.recv(16384))
                    sock.unwrap()  # waits for ours


class Limits(unittest.TestCase):
    def test_a_flood_of_stuck_handshakes_keeps_nobody_out(self):
        # From eight addresses, so that the limit of the server is reached, too; the good clients
        # come from one of them.
        limits = ["--max-handshakes", "64", "--max-handshakes-per-addr", "16"]
        with testbed(*limits, "--workers", "2") as server:
            stuck = [self.stuck(server, f"127.0.0.{host}") for host in range(1, 9)
                     for _ in range(40)]
            for client, version in 2 * every_way():
                with self.subTest(client=client.__name__, version=version):
                    self.assertEqual(client().get(server, version), PAGE)
            # Those that had to give way hear of it; the others still wait.
            wait_for(lambda: sum(map(self.is_open, stuck)) <= 64, "the others to be closed")
            for sock in stuck:
                sock.close()

    def stuck(self, server, address: str) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", server.port), PATIENCE, (address, 0))
        sock.sendall(b"\x16\x03\x01\x01\x00\x01")
        return sock

    def is_open(self, sock: socket.socket) -> bool:
        try:
            return sock.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        except ConnectionError:
            return False

    def test_hsts_is_said(self):
        with testbed("--hsts-s", "300") as server:
            output = OpenSsl().run(server, "1.3")
            self.assertIn("Strict-Transport-Security: max-age=300", output)
