"""The examples about TLS, used as their headers say."""

import re
import subprocess
import unittest

from harness import PATIENCE, make_certs, program, running, temporary_folder, wait_for
from pki import Identity
from tls_clients import CLIENTS, VERSIONS, OpenSsl, PythonSsl, Refused


def identity(folder, name: str = "client") -> Identity:
    return Identity(folder / f"{name}.pem", folder / f"{name}.key")


class MutualTls(unittest.TestCase):
    def test_shows_who_the_client_is_and_refuses_others(self):
        folder = temporary_folder(self)
        make_certs(folder / "ours", "--client", "sensor 7")
        make_certs(folder / "theirs")
        ours = folder / "ours"
        files = [*("--cert", ours / "server.pem"), *("--key", ours / "server.key"),
                 *("--client-ca", ours / "ca.pem")]
        with running("mutual_tls", "--port", "0", *map(str, files)) as server:
            for client in CLIENTS:
                for version in VERSIONS:
                    with self.subTest(client=client.__name__, version=version):
                        page = client(ours / "ca.pem", identity(ours)).get(server, version).decode()
                        self.assertIn("subject: CN=sensor 7\n", page)
                        self.assertRegex(page, r"issuer: .*Local development CA")
                        self.assertRegex(page, r"(?m)^SHA-256: [0-9A-Fa-f]{64}$")
                        self.assertTrue(self.next_line(server).endswith(": CN=sensor 7"))
                        self.assertRegex(self.next_line(server), r"^session \S+ ends$")
            # From here on, nobody is let in: there is no line of a session.
            for stranger in [None, identity(folder / "theirs"), identity(ours, "server")]:
                for version in VERSIONS:
                    with self.subTest(stranger, version=version), self.assertRaises(Refused):
                        OpenSsl(ours / "ca.pem", stranger).get(server, version)
                    self.assertRegex(self.next_line(server), r"^refused: 127\.0\.0\.1:\d+: .+$")

    def next_line(self, server) -> str:
        return server.lines.get(timeout=PATIENCE)


class Sni(unittest.TestCase):
    def test_each_name_has_its_certificate_and_its_clients(self):
        certs = temporary_folder(self)
        names = {"gateway": "gateway.test", "devices": "*.devices.test", "admin": "admin.test"}
        for folder, name in names.items():
            make_certs(certs / folder, name)
        with running("sni", "--port", "0", "--certs", str(certs)) as server:
            for client in CLIENTS:
                for version in VERSIONS:
                    with self.subTest(client=client.__name__, version=version):
                        self.check(client, server, version, certs)

    def check(self, client, server, version, certs):
        def get(folder, name, who=None):
            return client(certs / folder / "ca.pem", who, name).get(server, version)

        self.assertEqual(get("gateway", "gateway.test"), b"this is gateway.test\n")
        self.assertEqual(get("devices", "lamp.devices.test"), b"this is lamp.devices.test\n")
        admin = identity(certs / "admin")
        self.assertEqual(get("admin", "admin.test", admin), b"this is admin.test\n")
        for folder, name, who in [
            ("gateway", "other.test", None),
            ("devices", "a.b.devices.test", None),
            ("admin", "admin.test", None),
            ("admin", "admin.test", identity(certs / "gateway")),
        ]:
            with self.assertRaises(Refused):
                get(folder, name, who)


class Reload(unittest.TestCase):
    def test_shows_a_renewed_certificate_and_drops_nobody(self):
        folder = temporary_folder(self)
        make_certs(folder)
        files = ["--cert", str(folder / "server.pem"), "--key", str(folder / "server.key")]
        client = PythonSsl(folder / "ca.pem")
        with running("reload", "--port", "0", *files) as server:
            with client.connect(server, "1.3") as early:
                first = early.getpeercert(binary_form=True)
                make_certs(folder, "--force")
                wait_for(lambda: self.certificate(client, server) != first, "the new certificate")
                early.sendall(client.request("/"))
                self.assertIn(b"handshakes since the start", early.recv(16384))

                # What doesn't fit together changes nothing.
                second = self.certificate(client, server)
                (folder / "server.pem").write_text("half of a certificate")
                wait_for(lambda: "the old ones stay" in server.errors(), "the error in the log")
                self.assertEqual(self.certificate(client, server), second)

    def certificate(self, client, server) -> bytes:
        with client.connect(server, "1.3") as sock:
            return sock.getpeercert(binary_form=True)


def measured_cost(sessions: int) -> int:
    """What the example `memory` says of a session, in bytes."""
    done = subprocess.run([program("memory"), "--sessions", str(sessions)], capture_output=True,
                          text=True, timeout=3 * PATIENCE, check=True)
    said = rf"^{sessions} idle sessions: (\d+) bytes each$"
    [cost] = re.findall(said, done.stdout, re.MULTILINE)
    return int(cost)
