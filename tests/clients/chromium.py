"""Headless Chromium, driven through the DevTools protocol, with no connection but to us."""

import base64
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from websockets.sync.client import connect

from harness import PATIENCE, wait_for

# A browser on a slow machine with a cold disk.
START = 60.0

FLAGS = [
    "--headless",
    "--no-sandbox",  # CI runs as root in a container, where Chromium's own sandbox can't
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",
    "--remote-debugging-port=0",
]


def spki_hash(cert: Path) -> str:
    """The hash by which Chromium can be told to trust a certificate's key."""
    public = subprocess.run(
        ["openssl", "x509", "-in", str(cert), "-noout", "-pubkey"],
        check=True, capture_output=True, text=True,
    ).stdout
    der = base64.b64decode("".join(public.splitlines()[1:-1]))
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


class Chromium:
    """A browser with an empty profile that trusts the certificate `trusted`, and else only what its
    user, whose folder is `home`, has told it to."""

    def __init__(self, trusted: Path | None = None, flags: list[str] = (), home: Path | None = None):
        self.profile = Path(tempfile.mkdtemp(prefix="chromium-"))
        self.log = tempfile.TemporaryFile("w+")
        if trusted:
            flags = [*flags, f"--ignore-certificate-errors-spki-list={spki_hash(trusted)}"]
        self.process = subprocess.Popen(
            [
                os.environ.get("CHROMIUM", "chromium"),
                *FLAGS,
                f"--user-data-dir={self.profile}",
                *flags,
                "about:blank",
            ],
            env={**os.environ, "HOME": str(home)} if home else None,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
        )
        try:
            port, path = wait_for(self._devtools, "Chromium's debugging port", START)
            self.devtools = connect(
                f"ws://127.0.0.1:{port}{path}", max_size=None, compression=None, proxy=None
            )
        except BaseException:
            self._kill()
            raise

    def _devtools(self) -> list[str] | None:
        """Port and path of the debugging socket, once the browser has written them down."""
        if self.process.poll() is not None:
            self.log.seek(0)
            raise AssertionError(f"Chromium ended:\n{self.log.read()}")
        try:
            lines = (self.profile / "DevToolsActivePort").read_text().splitlines()
        except FileNotFoundError:
            return None
        return lines if len(lines) == 2 else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.devtools.close()
        self._kill()

    def _kill(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
        # Helper processes may still write for a moment.
        wait_for(self._profile_is_gone, "the end of Chromium")

    def _profile_is_gone(self) -> bool:
        shutil.rmtree(self.profile, ignore_errors=True)
        return not self.profile.exists()

    def open(self, url: str) -> "Page":
        """Opens a page in a new tab; returns once it has loaded."""
        page = Page(self.devtools)
        page.navigate(url)
        return page


class Page:
    """A tab. `events` has what it reported so far: a list of (method, parameters)."""

    def __init__(self, devtools):
        self.devtools = devtools
        self.ids = itertools.count(1)
        self.session = None
        self.events = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ["Page", "Runtime", "Network", "Log"]:
            self.call(f"{domain}.enable")

    def call(self, method: str, **params):
        """Calls a method of the DevTools protocol and returns its result."""
        number = next(self.ids)
        message = {"id": number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.devtools.send(json.dumps(message))
        deadline = time.monotonic() + PATIENCE
        while (reply := self._receive(deadline)).get("id") != number:
            pass
        if "error" in reply:
            raise AssertionError(f"{method}: {reply['error']['message']}")
        return reply["result"]

    def _receive(self, deadline: float) -> dict:
        message = json.loads(self.devtools.recv(max(deadline - time.monotonic(), 0.001)))
        if "method" in message:
            self.events.append((message["method"], message["params"]))
        return message

    def navigate(self, url: str):
        result = self.call("Page.navigate", url=url)
        if "errorText" in result:
            raise AssertionError(f"{url}: {result['errorText']}")
        self.wait_event("Page.loadEventFired")

    def wait_event(self, method: str, matches=lambda params: True, within=PATIENCE) -> dict:
        """The first event of that kind that matches, whether it came already or comes yet."""
        deadline = time.monotonic() + within
        seen = 0
        while True:
            for name, params in self.events[seen:]:
                if name == method and matches(params):
                    return params
            seen = len(self.events)
            try:
                self._receive(deadline)
            except TimeoutError:
                raise AssertionError(f"waited {within:g} s in vain for {method}") from None

    def evaluate(self, expression: str):
        """The value of a JavaScript expression in the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in result:
            raise AssertionError(f"{expression}: {result['exceptionDetails']['text']}")
        return result["result"].get("value")

    def text(self) -> str:
        """What a person reads."""
        return self.evaluate("document.body.innerText")

    def type(self, text: str):
        """Types into the field that has the focus, and presses Enter."""
        self.call("Input.insertText", text=text)
        key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
        self.call("Input.dispatchKeyEvent", type="keyDown", **key)
        self.call("Input.dispatchKeyEvent", type="keyUp", **key)

    def screenshot(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def errors(self) -> list[str]:
        """What the page complained about: exceptions, and errors in the console's log."""
        thrown = [p["exceptionDetails"]["text"] for m, p in self.events
                  if m == "Runtime.exceptionThrown"]
        logged = [p["entry"]["text"] for m, p in self.events
                  if m == "Log.entryAdded" and p["entry"]["level"] == "error"
                  and not p["entry"].get("url", "").endswith("/favicon.ico")]
        return thrown + logged
