"""TLS as OpenSSL's command line client sees it."""

import re
import subprocess

from harness import DEV_CA, PAGE, PATIENCE, TestbedCase, temporary_folder, testbed

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
VERSIONS = {"TLSv1.2": "-tls1_2", "TLSv1.3": "-tls1_3"}


def s_client(server, *flags: str, name=("-servername", "localhost")) -> str:
    """One request by `openssl s_client`, which verifies the server; returns what it printed."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-ign_eof"]
    command += ["-CAfile", str(DEV_CA), "-verify_return_error", "-verify_hostname", "localhost"]
    done = subprocess.run(
        [*command, *name, *flags],
        input=REQUEST,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
    )
    return done.stdout.decode(errors="replace")


class Handshake(TestbedCase):
    def test_in_both_versions(self):
        for version, flag in VERSIONS.items():
            with self.subTest(version):
                output = s_client(self.server, flag)
                self.assertRegex(output, rf"New, {version}, Cipher is \S+")
                self.assertIn("Verify return code: 0 (ok)", output)
                self.assertIn(PAGE.decode(), output)

    def test_shows_the_server_certificate(self):
        output = s_client(self.server)
        self.assertRegex(output, r"(?m)^subject=CN ?= ?localhost$")
        self.assertRegex(output, r"(?m)^issuer=CN ?= ?Local development CA")
        self.assertIn("-----BEGIN CERTIFICATE-----", output)

    def test_ends_with_close_notify(self):
        # Without it, OpenSSL 3 reports that the stream was cut short.
        output = s_client(self.server)
        self.assertIn(PAGE.decode(), output)
        self.assertNotIn("unexpected eof", output)

    def test_needs_no_server_name(self):
        output = s_client(self.server, name=["-noservername"])
        self.assertIn(PAGE.decode(), output)

    def test_refuses_old_versions(self):
        output = s_client(self.server, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
        self.assertNotIn(PAGE.decode(), output)
        self.assertIn("alert", output)


class Version(TestbedCase):
    def test_can_be_restricted(self):
        versions = {"1.2": ("-tls1_2", "-tls1_3"), "1.3": ("-tls1_3", "-tls1_2")}
        for version, (wanted, refused) in versions.items():
            with self.subTest(version), testbed("--tls-version", version) as server:
                self.assertIn(PAGE.decode(), s_client(server, wanted))
                output = s_client(server, refused)
                self.assertNotIn(PAGE.decode(), output)
                self.assertIn("alert protocol version", output)


class Alpn(TestbedCase):
    args = ("--alpn", "http/1.1")

    def test_chooses_what_both_know(self):
        for version, flag in VERSIONS.items():
            with self.subTest(version):
                output = s_client(self.server, flag, "-alpn", "h2,http/1.1")
                self.assertIn("ALPN protocol: http/1.1", output)
                self.assertIn(PAGE.decode(), output)

    def test_is_not_needed(self):
        output = s_client(self.server)
        self.assertIn("No ALPN negotiated", output)
        self.assertIn(PAGE.decode(), output)

    def test_refuses_what_it_does_not_know(self):
        output = s_client(self.server, "-alpn", "h2")
        self.assertNotIn(PAGE.decode(), output)
        self.assertIn("alert no application protocol", output)


class SessionTickets(TestbedCase):
    def resume(self, server, flag: str) -> str:
        """Two connections, the second with the session of the first; what the second printed."""
        session = temporary_folder(self) / "session"
        first = s_client(server, flag, "-sess_out", str(session))
        self.assertIn(PAGE.decode(), first)
        self.assertRegex(first, r"(?m)^New, ")
        if not session.exists():
            return s_client(server, flag)
        second = s_client(server, flag, "-sess_in", str(session))
        self.assertIn(PAGE.decode(), second)
        return second

    def test_resume_a_session(self):
        with testbed("--session-tickets", "on") as server:
            for version, flag in VERSIONS.items():
                with self.subTest(version):
                    self.assertRegex(self.resume(server, flag), rf"(?m)^Reused, {version}")

    def test_resume_on_every_worker(self):
        with testbed("--session-tickets", "on", "--workers", "4") as server:
            session = temporary_folder(self) / "session"
            s_client(server, "-tls1_2", "-sess_out", str(session))
            for _ in range(12):
                output = s_client(server, "-tls1_2", "-sess_in", str(session))
                self.assertRegex(output, r"(?m)^Reused, TLSv1\.2")

    def test_can_be_off(self):
        with testbed("--session-tickets", "off") as server:
            for version, flag in VERSIONS.items():
                with self.subTest(version):
                    output = self.resume(server, flag)
                    self.assertIn(PAGE.decode(), output)
                    self.assertTrue(re.search(rf"(?m)^New, {version}", output), output)
