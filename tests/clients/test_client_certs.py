"""Mutual authentication, with certificates made by `make-certs` as a user would make them."""

import shutil
import ssl
import tempfile
import unittest
from pathlib import Path

from harness import PAGE, CurlError, curl, make_certs, testbed, tls_connect, tls_context

VERSIONS = {"1.2": ["--tls-max", "1.2"], "1.3": ["--tlsv1.3"]}


class ClientCerts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = Path(tempfile.mkdtemp(prefix="client-certs-"))
        cls.addClassCleanup(shutil.rmtree, folder)
        cls.ours, cls.theirs = folder / "ours", folder / "theirs"
        make_certs(cls.ours)
        make_certs(cls.theirs)

    def server(self, auth: str):
        ours = self.ours
        return testbed(
            *("--cert", str(ours / "server.pem"), "--key", str(ours / "server.key")),
            *("--client-ca", str(ours / "ca.pem"), "--client-auth", auth),
        )

    def request(self, server, version: str, *flags) -> bytes:
        [transfer] = curl([*VERSIONS[version], *flags, server.url()], ca=self.ours / "ca.pem")
        return transfer.body

    def identity(self, folder: Path, name: str = "client") -> list:
        return ["--cert", folder / f"{name}.pem", "--key", folder / f"{name}.key"]

    def check_accepted(self, server, *flags):
        for version in VERSIONS:
            with self.subTest(version):
                self.assertEqual(self.request(server, version, *flags), PAGE)

    def check_refused(self, server, *flags):
        for version in VERSIONS:
            with self.subTest(version), self.assertRaises(CurlError):
                self.request(server, version, *flags)

    def test_required_and_given(self):
        with self.server("required") as server:
            self.check_accepted(server, *self.identity(self.ours))

    def test_required_and_missing(self):
        with self.server("required") as server:
            self.check_refused(server)

    def test_required_and_missing_is_told_to_a_client_that_is_already_sending(self):
        # In TLS 1.3 the client has sent its request by the time it is refused. Closed with that
        # unread, the connection would be reset, and the alert lost.
        context = tls_context(self.ours / "ca.pem")
        with self.server("required") as server:
            for _ in range(10):
                with tls_connect(server, context) as sock, self.assertRaises(ssl.SSLError) as told:
                    for _ in range(4):
                        sock.sendall(bytes(8000))
                    sock.recv(1)
                self.assertIn("CERTIFICATE_REQUIRED", told.exception.reason)

    def test_required_but_of_another_authority(self):
        with self.server("required") as server:
            self.check_refused(server, *self.identity(self.theirs))

    def test_required_but_of_a_server(self):
        with self.server("required") as server:
            self.check_refused(server, *self.identity(self.ours, "server"))

    def test_optional_and_given(self):
        with self.server("optional") as server:
            self.check_accepted(server, *self.identity(self.ours))

    def test_optional_and_missing(self):
        with self.server("optional") as server:
            self.check_accepted(server)

    def test_optional_but_of_another_authority(self):
        with self.server("optional") as server:
            self.check_refused(server, *self.identity(self.theirs))

    def test_not_asked_for(self):
        files = ["--cert", self.ours / "server.pem", "--key", self.ours / "server.key"]
        with testbed(*map(str, files)) as server:
            self.check_accepted(server, *self.identity(self.theirs))
