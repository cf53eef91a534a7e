"""The page about certificates, docs/certificates.md: its commands as they stand there, up to a browser
that opens the server's page without a warning, and the program for a public certificate."""

import os
import re
import shlex
import subprocess
import unittest

from chromium import Chromium
from harness import (DEV_CERTS, PAGE, PATIENCE, ROOT, curl, program, running,
                     temporary_folder, wait_for)
from test_tls_examples import measured_cost

TEXT = (ROOT / "docs" / "certificates.md").read_text()


def command(start: str) -> list[str]:
    """The one command of the page that begins so, in words."""
    [found] = re.findall(rf"^\$ ({re.escape(start)} .*)$", TEXT, re.MULTILINE)
    return shlex.split(found)


def arguments(start: str) -> list[str]:
    """What it gives to the program behind `--`."""
    words = command(start)
    return words[words.index("--") + 1:]


class OwnAuthority(unittest.TestCase):
    def setUp(self):
        self.folder = temporary_folder(self)
        made = [program("make-certs"), *arguments("cargo run --release --package make-certs")]
        subprocess.run(made, cwd=self.folder, check=True, capture_output=True, timeout=PATIENCE)
        files = self.here(arguments("cargo run --release --example reload"))
        self.server = self.enterContext(running("reload", *files, "--port", "0"))

    def here(self, words: list[str]) -> list[str]:
        """With the files in our folder, and the server's port in the place of the usual one."""
        return [re.sub(r"^certs/", f"{self.folder}/certs/", word) for word in words]

    def test_the_files_are_those_that_the_page_explains(self):
        rows = re.findall(r"^\| (`\w+\.\w+`.*?) \|", TEXT, re.MULTILINE)
        explained = {name for row in rows for name in re.findall(r"`(\w+\.\w+)`", row)}
        self.assertEqual(explained, set(os.listdir(self.folder / "certs")))

    def test_curl_trusts_the_server(self):
        words = self.here(command("curl --cacert certs/ca.pem"))
        words = [word.replace(":8443/", f":{self.server.port}/") for word in words]
        done = subprocess.run([*words, "--silent", "--show-error"], capture_output=True, text=True,
                              timeout=PATIENCE)
        self.assertIn("handshakes since the start", done.stdout, done.stderr)

    def test_a_browser_warns_before_and_not_after_it_was_told(self):
        home, url = self.folder / "home", f"https://gateway.local:{self.server.port}/"
        home.mkdir()
        with self.browser(home) as chromium, self.assertRaises(AssertionError) as warning:
            chromium.open(url)
        self.assertIn("ERR_CERT_AUTHORITY_INVALID", str(warning.exception))
        [told] = re.findall(r"^\| Chrome, Chromium on Linux \| `(.*?)`", TEXT, re.MULTILINE)
        subprocess.run(["sh", "-ec", told], cwd=self.folder, env={**os.environ, "HOME": str(home)},
                       stdin=subprocess.DEVNULL, check=True, timeout=PATIENCE)
        with self.browser(home) as chromium:
            self.assertIn("handshakes since the start", chromium.open(url).text())

    def browser(self, home) -> Chromium:
        rules = "--host-resolver-rules=MAP gateway.local 127.0.0.1, MAP * ~NOTFOUND"
        return Chromium(flags=[rules], home=home)


class PublicCertificate(unittest.TestCase):
    def setUp(self):
        self.folder = temporary_folder(self)
        self.certs, self.webroot = self.folder / "live", self.folder / "webroot"
        self.certs.mkdir()
        (self.webroot / ".well-known" / "acme-challenge").mkdir(parents=True)

    def server(self):
        folders = ["--certs", str(self.certs), "--webroot", str(self.webroot)]
        ports = ["--http", "0", "--https", "0"]
        return running("public_certificate", *folders, *ports, schemes=("http",))

    def get(self, server, path: str):
        [transfer] = curl([server.url(path, scheme="http")])
        return transfer

    def certificate(self, folder):
        """As an ACME client leaves it."""
        for made, name in [("server.pem", "fullchain.pem"), ("server.key", "privkey.pem")]:
            (self.certs / name).write_bytes((folder / made).read_bytes())

    def test_the_proof_is_shown_before_there_is_a_certificate_and_https_comes_with_it(self):
        proof = self.webroot / ".well-known" / "acme-challenge" / "a-token_1"
        proof.write_text("a-token_1.thumbprint")
        (self.webroot / "secret").write_text("not for you")
        path = "/.well-known/acme-challenge/"
        with self.server() as server:
            self.assertEqual(self.get(server, path + "a-token_1").body, b"a-token_1.thumbprint")
            for token in ["other", "..%2F..%2Fsecret", "a.b", "%2e%2e"]:
                with self.subTest(token):
                    self.assertEqual(self.get(server, path + token).status, 404)
            elsewhere = self.get(server, "/a?b=c")
            self.assertEqual(elsewhere.status, 308)
            self.assertRegex(elsewhere.field("location"), r"^https://localhost(:\d+)?/a\?b=c$")
            wait_for(lambda: "waiting for a certificate" in server.errors(), "it to say so")

            self.certificate(DEV_CERTS)
            server.await_ports(["https"])
            [page] = curl([server.url("/")])
            self.assertEqual(page.body, PAGE)
            self.assertEqual(page.field("strict-transport-security"), "max-age=300")


class Memory(unittest.TestCase):
    def test_a_session_costs_what_the_page_says(self):
        [said] = re.findall(r"^1000 idle sessions: (\d+) bytes each$", TEXT, re.MULTILINE)
        self.assertAlmostEqual(measured_cost(1000), int(said), delta=200)
