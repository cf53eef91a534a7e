"""What the tests share: the examples as running programs, curl, TLS contexts, and waiting.

Nothing here sleeps for a fixed time: `wait_for` polls a condition under a deadline, and every
socket and process has a time limit, so a server that hangs is a failed test and not a hung one.
"""

import contextlib
import json
import os
import queue
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
RELEASE_DIR = Path(os.environ.get("RELEASE_DIR", ROOT / "target" / "release"))
ARTIFACTS = RELEASE_DIR.parent / "ci"
DEV_CERTS = ROOT / "examples" / "certs"
DEV_CA = DEV_CERTS / "ca.pem"

# Seconds after which something that should take milliseconds has hung, on the slowest machine.
PATIENCE = 20.0

PAGE = b"<h1>Hello Secure World!</h1>"


def program(name: str) -> str:
    """The path of a program of this project, or an error that says how to get it."""
    folder = RELEASE_DIR if name == "make-certs" else RELEASE_DIR / "examples"
    path = Path(os.environ.get(name.upper().replace("-", "_"), folder / name))
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: ./ci.sh clients builds it")
    return str(path)


def wait_for(condition, what: str, within: float = PATIENCE):
    """Polls `condition` until it is true and returns its value; fails after `within` seconds."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {within:g} s in vain for {what}")
        time.sleep(0.01)
    return value


class Server:
    """One of the examples, running.

    `ports` maps "https" and "http" to the port that the program says it listens on.
    """

    def __init__(self, name: str, *args: str, schemes=("https",)):
        self.name = name
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [program(name), *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        self.lines = queue.SimpleQueue()
        self.reader = threading.Thread(target=self._read_output, daemon=True)
        self.reader.start()
        self.ports = {}
        try:
            self.await_ports(schemes)
        except BaseException:
            self.close()
            raise

    def close(self):
        """Ends it in any case."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.reader.join()
        self.process.stdout.close()
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _read_output(self):
        # To the end, so that the program never waits for a reader of its messages.
        for line in self.process.stdout:
            self.lines.put(line.rstrip())
        self.lines.put(None)

    def await_ports(self, schemes):
        """Waits until it has said where it listens for these."""
        deadline = time.monotonic() + PATIENCE
        while not set(schemes) <= self.ports.keys():
            try:
                line = self.lines.get(timeout=max(deadline - time.monotonic(), 0.001))
            except queue.Empty:
                raise AssertionError(f"{self.name} doesn't say where it listens") from None
            if line is None:
                code = self.process.wait(PATIENCE)
                raise AssertionError(f"{self.name} ended with {code}:\n{self.errors()}")
            if match := re.fullmatch(r"listening on (https?)://127\.0\.0\.1:(\d+)/?", line):
                self.ports[match[1]] = int(match[2])

    @property
    def port(self) -> int:
        return self.ports["https"]

    @property
    def pid(self) -> int:
        return self.process.pid

    def url(self, path: str = "/", host: str = "localhost", scheme: str = "https") -> str:
        return f"{scheme}://{host}:{self.ports[scheme]}{path}"

    def errors(self) -> str:
        """What it wrote to standard error so far."""
        self.log.seek(0)
        return self.log.read()

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Asks it to stop and returns its exit code."""
        self.process.send_signal(by)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.name} doesn't stop at {by.name}") from None

    def file_count(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def memory_kb(self) -> int:
        """Its private memory in kB: what it allocated, without mapped files."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"^RssAnon:\s+(\d+) kB", status, re.MULTILINE)[1])


@contextlib.contextmanager
def running(name: str, *args: str, schemes=("https",)):
    """Runs an example; at the end it has to be alive still, and to stop cleanly when asked."""
    with Server(name, *args, schemes=schemes) as server:
        yield server
        code = server.process.poll()
        assert code is None, f"{name} died with {code}:\n{server.errors()}"
        code = server.stop()
        assert code == 0, f"{name} stopped with {code}:\n{server.errors()}"


def testbed(*args: str, schemes=("https",)):
    """Runs the testbed on free ports."""
    ports = [arg for scheme in schemes for arg in (f"--{scheme}", "0")]
    return running("testbed", *ports, *args, schemes=schemes)


class TestbedCase(unittest.TestCase):
    """Tests that share one testbed, started with `args`."""

    args = ()
    schemes = ("https",)

    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(testbed(*cls.args, schemes=cls.schemes))


def tls_context(ca: Path = DEV_CA) -> ssl.SSLContext:
    """A client that verifies the server, as any good client does."""
    return ssl.create_default_context(cafile=str(ca))


def tls_connect(server: Server, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
    """A TLS connection to the server, for bytes that no client library would send."""
    plain = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
    # Measurements would see Nagle's algorithm otherwise.
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        # An end without close_notify is an error, as it is to clients that fear truncation.
        return (context or tls_context()).wrap_socket(
            plain, server_hostname="localhost", suppress_ragged_eofs=False
        )
    except BaseException:
        plain.close()
        raise


def request(sock: ssl.SSLSocket):
    """One request for the page, whose response fits into one read; the connection stays."""
    sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    response = sock.recv(16384)
    if not response.startswith(b"HTTP/1.1 200"):
        raise AssertionError(f"unexpected response: {response[:80]!r}")


def read_to_end(sock: socket.socket) -> bytes:
    received = bytearray()
    while part := sock.recv(65536):
        received += part
    return bytes(received)


def client_hello() -> bytes:
    """The first bytes of a client that wants to speak TLS to `localhost`."""
    outgoing = ssl.MemoryBIO()
    client = tls_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def make_certs(folder: Path, *args: str):
    """Makes an authority, a server and a client certificate in `folder`."""
    command = [program("make-certs"), "--out", str(folder), *args]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)


def temporary_folder(case: unittest.TestCase) -> Path:
    folder = tempfile.mkdtemp(prefix="clients-")
    case.addCleanup(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@dataclass
class Transfer:
    """One of the requests that a run of curl made."""

    status: int
    body: bytes
    heads: list[list[str]]  # of every response, interim ones included: lines as received
    info: dict  # curl's --write-out variables

    def field(self, name: str) -> str | None:
        """A field of the final response."""
        for line in self.heads[-1][1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None

    @property
    def is_new_connection(self) -> bool:
        return self.info["num_connects"] == 1


class CurlError(Exception):
    """curl didn't get a response."""

    def __init__(self, code: int, message: str):
        super().__init__(f"curl ended with {code}: {message}")
        self.code = code


def curl(*requests, ca: Path = DEV_CA) -> list[Transfer]:
    """Makes the requests, each a list of arguments, in one run of curl."""
    with tempfile.TemporaryDirectory(prefix="curl-") as folder:
        command = ["curl"]
        for index, request in enumerate(requests):
            if index:
                command.append("--next")
            command += ["--silent", "--show-error", "--http1.1", "--cacert", str(ca)]
            command += ["--max-time", str(int(PATIENCE)), "--write-out", "%{json}\n"]
            command += ["--dump-header", f"{folder}/head{index}"]
            command += ["--output", f"{folder}/body{index}", *map(str, request)]
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE * len(requests) + 5)
        if done.returncode:
            raise CurlError(done.returncode, done.stderr.decode())
        return [
            _transfer(Path(folder), index, json.loads(line))
            for index, line in enumerate(done.stdout.splitlines())
        ]


def _transfer(folder: Path, index: int, info: dict) -> Transfer:
    head, body = folder / f"head{index}", folder / f"body{index}"
    heads = [part.split("\r\n") for part in head.read_bytes().decode().split("\r\n\r\n") if part]
    # curl makes no file for an empty body.
    content = body.read_bytes() if body.exists() else b""
    return Transfer(info["http_code"], content, heads, info)
