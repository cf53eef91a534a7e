"""The programs of the README: `simple`, `wss_server` and `ws_echo_server`, with curl, Python and a
browser."""

import asyncio
import ssl
import time
import unittest

from websockets.asyncio.client import connect
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from chromium import Chromium
from harness import ARTIFACTS, DEV_CERTS, PAGE, PATIENCE, curl, running, tls_connect, wait_for
from test_websockets import soon, ws_connect

GREETING = "Hello client"

# The server greets every 10 seconds, and pings every 5.
GREETING_WITHIN = 10 + PATIENCE
# A client that answers no ping is closed 10 seconds after it.
SILENCE_WITHIN = 15 + PATIENCE


class Simple(unittest.TestCase):
    def test_serves_its_page(self):
        with running("simple", "--port", "0") as server:
            [page] = curl([server.url()])
            self.assertEqual(page.body, PAGE)
            self.assertEqual(page.field("Content-Type"), "text/html")

    def test_shows_its_page_in_a_browser(self):
        with running("simple", "--port", "0") as server, browser() as chromium:
            page = chromium.open(server.url())
            self.assertEqual(page.evaluate("document.querySelector('h1').innerText"),
                             "Hello Secure World!")
            self.assertTrue(page.evaluate("window.isSecureContext"))
            page.screenshot(ARTIFACTS / "simple.png")


class WssServer(unittest.IsolatedAsyncioTestCase):
    async def test_echoes_greets_and_drops_who_is_silent(self):
        with running("wss_server", "--port", "0") as server, Silent(server) as silent:
            started = time.monotonic()
            async with ws_connect(server) as ws:
                await soon(ws.send("are you there?"))
                self.assertEqual(await soon(ws.recv()), "are you there?")
                self.assertEqual(await asyncio.wait_for(ws.recv(), GREETING_WITHIN), GREETING)
                # This client answers pings by itself, and stays; the other one doesn't.
                await asyncio.to_thread(silent.read_to_end, SILENCE_WITHIN)
                self.assertGreater(time.monotonic() - started, 9.0, "closed too early")
                await soon(ws.send("still there?"))
                while (reply := await soon(ws.recv())) == GREETING:
                    pass
                self.assertEqual(reply, "still there?")

    async def test_tells_everybody_and_who_is_there(self):
        with running("wss_server", "--port", "0") as server:
            async with ws_connect(server, "/clients") as watcher:
                self.assertEqual(await soon(watcher.recv()), "")
                async with ws_connect(server) as one:
                    first = await soon(watcher.recv())
                    async with ws_connect(server, compression="deflate") as two:
                        self.assertEqual(len((await soon(watcher.recv())).split()), 2)
                        await soon(one.send("all: news"))
                        self.assertEqual(await soon(one.recv()), "all: news")
                        self.assertEqual(await soon(two.recv()), "all: news")
                    self.assertEqual(await soon(watcher.recv()), first)
                self.assertEqual(await soon(watcher.recv()), "")

    def test_talks_to_the_script_of_its_own_page(self):
        with running("wss_server", "--port", "0") as server, browser() as chromium:
            page = chromium.open(server.url())
            created = page.wait_event("Network.webSocketCreated")
            self.assertEqual(created["url"], f"wss://localhost:{server.port}/ws")
            opened = page.wait_event("Network.webSocketHandshakeResponseReceived")
            self.assertEqual(opened["response"]["status"], 101)

            wait_for(lambda: "Connection: open" in page.text(), "the page to say that it is open")
            wait_for(lambda: "Connected now: 1" in page.text(), "the page to show who is there")

            # As a person would: type into the page's field, press Enter, read the answer.
            page.evaluate("document.querySelector('input').focus()")
            message = "Grüße from the browser 🌍"
            page.type(message)
            page.wait_event("Network.webSocketFrameSent", carries(message))
            page.wait_event("Network.webSocketFrameReceived", carries(message))
            page.wait_event("Network.webSocketFrameReceived", carries(GREETING), GREETING_WITHIN)
            for line in [f"you: {message}", f"server: {message}", f"server: {GREETING}"]:
                wait_for(lambda: line in page.text(), f"{line!r} on the page")
            page.screenshot(ARTIFACTS / "wss_server.png")
            self.assertEqual(page.errors(), [])

    def test_shows_others_as_they_come_and_go(self):
        with running("wss_server", "--port", "0") as server, browser() as chromium:
            pages = [chromium.open(server.url()) for _ in range(3)]
            shown = "document.querySelectorAll('#clients span').length"
            for page in pages:
                wait_for(lambda: page.evaluate(shown) == 3, "the page to show all three")
            pages.pop().call("Page.close")
            for page in pages:
                wait_for(lambda: "Connected now: 2" in page.text(), "the page to show who stayed")
                self.assertEqual(page.evaluate(shown), 2)
                self.assertEqual(page.errors(), [])


class WsEchoServer(unittest.IsolatedAsyncioTestCase):
    async def test_echoes(self):
        with running("ws_echo_server", "--port", "0", schemes=("http",)) as server:
            url = f"ws://localhost:{server.ports['http']}/ws"
            async with connect(url, open_timeout=PATIENCE, proxy=None) as ws:
                await soon(ws.send("are you there?"))
                self.assertEqual(await soon(ws.recv()), "are you there?")


def browser() -> Chromium:
    return Chromium(trusted=DEV_CERTS / "server.pem")


def carries(text: str):
    return lambda params: params["response"]["payloadData"] == text


class Silent:
    """A WebSocket client that never answers a ping."""

    def __init__(self, server):
        self.sock = tls_connect(server)
        protocol = ClientProtocol(parse_uri(f"wss://localhost:{server.port}/ws"))
        protocol.send_request(protocol.connect())
        for part in protocol.data_to_send():
            self.sock.sendall(part)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def read_to_end(self, within: float):
        deadline = time.monotonic() + within
        while True:
            self.sock.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                if not self.sock.recv(4096):
                    return
            except (ConnectionResetError, ssl.SSLEOFError):
                return
            except TimeoutError:
                raise AssertionError(f"not closed within {within:g} s") from None
