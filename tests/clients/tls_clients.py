"""One request as four clients make it, each with a TLS of its own way: curl, Python's ssl, `openssl
s_client` and `gnutls-cli`. All of them verify the server."""

import contextlib
import socket
import ssl
import subprocess
from pathlib import Path

from harness import DEV_CA, PATIENCE, Server, read_to_end
from pki import Identity

VERSIONS = ["1.2", "1.3"]


class Refused(Exception):
    """The client got no answer; what it says of that."""


class Client:
    """Who makes requests, and what it is told."""

    def __init__(self, ca: Path = DEV_CA, identity: Identity | None = None, name: str = "localhost",
                 alpn: list[str] | None = None, suites: str | None = None):
        self.ca, self.identity, self.name, self.alpn = ca, identity, name, alpn or []
        self.suites = suites

    def request(self, path: str) -> bytes:
        head = f"GET {path} HTTP/1.1\r\nHost: {self.name}\r\nConnection: close\r\n\r\n"
        return head.encode()


class Curl(Client):
    def get(self, server: Server, version: str, path: str = "/") -> bytes:
        command = ["curl", "--silent", "--show-error", "--http1.1", "--cacert", self.ca]
        command += ["--max-time", str(int(PATIENCE)), f"--tlsv{version}", "--tls-max", version]
        command += ["--connect-to", f"::127.0.0.1:{server.port}"]
        if self.identity:
            command += ["--cert", self.identity.cert, "--key", self.identity.key]
        url = f"https://{self.name}:{server.port}{path}"
        done = subprocess.run([*map(str, command), url], capture_output=True, timeout=PATIENCE + 5)
        if done.returncode:
            raise Refused(done.stderr.decode())
        return done.stdout


class PythonSsl(Client):
    def context(self, version: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca))
        wanted = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
        context.minimum_version = context.maximum_version = wanted
        if self.identity:
            context.load_cert_chain(self.identity.cert, self.identity.key)
        if self.alpn:
            context.set_alpn_protocols(self.alpn)
        return context

    def connect(self, server: Server, version: str, session=None, context=None) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            # An end without close_notify is an error, as it is to clients that fear truncation.
            return (context or self.context(version)).wrap_socket(
                plain, server_hostname=self.name, session=session, suppress_ragged_eofs=False
            )
        except BaseException:
            plain.close()
            raise

    def get(self, server: Server, version: str, path: str = "/") -> bytes:
        try:
            with self.connect(server, version) as sock:
                sock.sendall(self.request(path))
                return body(read_to_end(sock))
        except (ssl.SSLError, ConnectionError) as error:
            raise Refused(str(error)) from error


class OpenSsl(Client):
    def command(self, server: Server, version: str) -> list[str]:
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}"]
        command += ["-CAfile", self.ca, "-verify_return_error", "-verify_hostname", self.name]
        command += ["-servername", self.name, {"1.2": "-tls1_2", "1.3": "-tls1_3"}[version]]
        if self.identity:
            command += ["-cert", self.identity.cert, "-key", self.identity.key]
        if self.alpn:
            command += ["-alpn", ",".join(self.alpn)]
        if self.suites:
            command += [{"1.2": "-cipher", "1.3": "-ciphersuites"}[version], self.suites]
        return [str(part) for part in command]

    def run(self, server: Server, version: str, path: str = "/", *flags: str) -> str:
        done = subprocess.run(
            [*self.command(server, version), "-ign_eof", *flags], input=self.request(path),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE,
        )
        return done.stdout.decode(errors="replace")

    def get(self, server: Server, version: str, path: str = "/") -> bytes:
        return found(self.run(server, version, path))


class GnuTls(Client):
    def run(self, server: Server, version: str, path: str = "/", *flags: str) -> str:
        priority = f"NORMAL:-VERS-ALL:+VERS-TLS{version}"
        command = ["gnutls-cli", "--port", server.port, "--x509cafile", self.ca]
        command += ["--priority", priority, "--sni-hostname", self.name]
        command += ["--verify-hostname", self.name]
        if self.identity:
            command += ["--x509certfile", self.identity.cert, "--x509keyfile", self.identity.key]
        for protocol in self.alpn:
            command += ["--alpn", protocol]
        with subprocess.Popen(
            ["timeout", str(int(PATIENCE)), *map(str, command), *flags, "127.0.0.1"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as process:
            # It leaves at the end of its input, without waiting for answers: it gets none before.
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(self.request(path))
                process.stdin.flush()
            output = process.stdout.read().decode(errors="replace")
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        return output

    def get(self, server: Server, version: str, path: str = "/") -> bytes:
        return found(self.run(server, version, path))


CLIENTS = [Curl, PythonSsl, OpenSsl, GnuTls]


def body(response: bytes) -> bytes:
    head, _, rest = response.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise Refused(response.decode(errors="replace"))
    return rest


def found(output: str) -> bytes:
    """The body of the response among what a client says about the connection."""
    _, start, response = output.partition("HTTP/1.1 200")
    if not start:
        raise Refused(output)
    head, _, rest = response.replace("\r\n", "\n").partition("\n\n")
    length = next(int(line.split(":")[1]) for line in head.split("\n")
                  if line.lower().startswith("content-length:"))
    return rest.encode()[:length]
