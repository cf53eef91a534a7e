"""WebSocket as Python's `websockets` speaks it, over TLS and without."""

import asyncio
import os
import unittest

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from harness import PAGE, PATIENCE, TestbedCase, curl, tls_context

MAX_MESSAGE_LEN = 16 << 20


def ws_connect(server, path: str = "/ws", **options) -> connect:
    """A client for `async with`, which leaves pings and compression to the tests.

    It is asyncio's, because Python's TLS sockets before 3.13 lose data when one thread reads
    and another writes, as the client for threads does.
    """
    return connect(
        f"wss://localhost:{server.port}{path}",
        ssl=tls_context(),
        open_timeout=PATIENCE,
        close_timeout=PATIENCE,
        max_size=MAX_MESSAGE_LEN,
        **{"compression": None, "ping_interval": None, "proxy": None, **options},
    )


async def soon(awaitable):
    """Its result, or a failure if that takes too long."""
    return await asyncio.wait_for(awaitable, PATIENCE)


class Echo(TestbedCase, unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.ws = await self.enterAsyncContext(ws_connect(self.server))

    async def check(self, message):
        await soon(self.ws.send(message))
        self.assertTrue(await soon(self.ws.recv()) == message, "the echo differs")

    async def test_of_text(self):
        await self.check("Grüße, 世界 🌍")

    async def test_of_bytes(self):
        await self.check(bytes(range(256)))

    async def test_of_nothing(self):
        await self.check("")
        await self.check(b"")

    async def test_at_every_length_encoding(self):
        # RFC 6455 section 5.2: 7, 16 and 64 bits of length.
        for size in [1, 125, 126, 127, 65535, 65536, 100_000]:
            with self.subTest(size):
                await self.check(os.urandom(size))

    async def test_of_16_mib(self):
        await self.check(os.urandom(MAX_MESSAGE_LEN))

    async def test_of_fragments(self):
        await soon(self.ws.send(["one ", "", "two ", "three"]))
        self.assertEqual(await soon(self.ws.recv()), "one two three")
        await soon(self.ws.send(bytes([number]) for number in range(100)))
        self.assertEqual(await soon(self.ws.recv()), bytes(range(100)))

    async def test_of_fragments_with_a_ping_between_them(self):
        async def parts():
            yield "before "
            pong = await self.ws.ping(b"between")
            await soon(pong)
            yield "after"

        await self.ws.send(parts())
        self.assertEqual(await soon(self.ws.recv()), "before after")

    async def test_of_many_messages_keeps_their_order(self):
        messages = [f"message {number}" for number in range(200)]
        for message in messages:
            await soon(self.ws.send(message))
        self.assertEqual([await soon(self.ws.recv()) for _ in messages], messages)


class Control(TestbedCase, unittest.IsolatedAsyncioTestCase):
    async def test_a_ping_gets_its_pong(self):
        async with ws_connect(self.server) as ws:
            for data in [b"", b"x" * 125]:
                await soon(await ws.ping(data))

    async def test_a_close_gets_its_code_back(self):
        for code in [1000, 1001, 3000, 4999]:
            with self.subTest(code):
                async with ws_connect(self.server) as ws:
                    await soon(ws.close(code, "done here"))
                    self.assertIsNotNone(ws.protocol.close_rcvd, "no close frame came back")
                    self.assertEqual(ws.protocol.close_rcvd.code, code)

    async def test_text_that_is_not_utf_8_ends_with_1007(self):
        async with ws_connect(self.server) as ws:
            await soon(ws.send(b"\xff\xfe", text=True))
            await self.check_closed_with(1007, ws)

    async def test_a_message_over_the_limit_ends_with_1009(self):
        async with ws_connect(self.server) as ws:
            try:
                await soon(ws.send(b"x" * (MAX_MESSAGE_LEN + 1)))
            except ConnectionClosed:
                pass  # before the last byte was sent: even better
            await self.check_closed_with(1009, ws)

    async def check_closed_with(self, code: int, ws):
        with self.assertRaises(ConnectionClosed) as closed:
            await soon(ws.recv())
        self.assertIsNotNone(closed.exception.rcvd, "closed without a close frame")
        self.assertEqual(closed.exception.rcvd.code, code)


class Handshake(TestbedCase, unittest.IsolatedAsyncioTestCase):
    args = ("--max-open-sockets", "50")

    async def test_declines_compression(self):
        async with ws_connect(self.server, compression="deflate") as ws:
            self.assertEqual(ws.protocol.extensions, [])
            await soon(ws.send("plain"))
            self.assertEqual(await soon(ws.recv()), "plain")

    async def test_is_refused_where_no_websocket_is(self):
        with self.assertRaises(InvalidStatus) as refused:
            async with ws_connect(self.server, "/nowhere"):
                pass
        self.assertEqual(refused.exception.response.status_code, 404)

    async def test_of_many_clients_leaves_pages_reachable(self):
        async def talk(number: int):
            async with ws_connect(self.server) as ws:
                for turn in range(50):
                    await soon(ws.send(f"{number}: {turn}"))
                    self.assertEqual(await soon(ws.recv()), f"{number}: {turn}")

        async def look():
            for _ in range(5):
                [page] = await asyncio.to_thread(curl, [self.server.url()])
                self.assertEqual(page.body, PAGE)

        await asyncio.gather(*(talk(number) for number in range(20)), look())


def ws_connect_plain(server, path: str, **options) -> connect:
    """As `ws_connect`, without TLS."""
    options = {"ping_interval": None, "proxy": None, "max_size": MAX_MESSAGE_LEN, **options}
    return connect(f"ws://localhost:{server.ports['http']}{path}", **options)


class Compression(TestbedCase, unittest.IsolatedAsyncioTestCase):
    schemes = ("http", "https")

    async def test_of_all_sizes_with_and_without_context(self):
        for dial in [ws_connect, ws_connect_plain]:
            for path in ["/ws-deflate", "/ws-context"]:
                with self.subTest(path=path, dial=dial.__name__):
                    async with dial(self.server, path, compression="deflate") as ws:
                        self.assertEqual(len(ws.protocol.extensions), 1)
                        await self.check(ws)

    async def check(self, ws):
        for size in [0, 1, 100, 5000, 70_000]:
            for message in ["to and fro " * size, os.urandom(size)]:
                await soon(ws.send(message))
                self.assertTrue(await soon(ws.recv()) == message, "the echo differs")
        await soon(ws.send(["frag", "", "mented " * 100]))
        self.assertEqual(await soon(ws.recv()), "frag" + "mented " * 100)

    async def test_of_windows_that_a_client_chooses(self):
        for bits in range(9, 16):
            windows = ClientPerMessageDeflateFactory(
                server_max_window_bits=bits, client_max_window_bits=bits
            )
            async with ws_connect(self.server, "/ws-context", extensions=[windows]) as ws:
                self.assertEqual(len(ws.protocol.extensions), 1)
                await self.check(ws)

    async def test_of_what_is_broadcast(self):
        async with (
            ws_connect(self.server, "/ws-deflate", compression="deflate") as shared,
            ws_connect(self.server, "/ws-context", compression="deflate") as own,
            ws_connect(self.server) as plain,
        ):
            for _ in range(3):
                [sent] = await asyncio.to_thread(
                    curl, ["-X", "POST", self.server.url("/broadcast?size=5000")]
                )
                self.assertEqual(sent.status, 200)
                received = [await soon(ws.recv()) for ws in [shared, own, plain]]
                self.assertEqual(len(received[0]), 5000)
                self.assertEqual(received[1:], received[:2])

    async def test_of_fragments_that_the_server_sends(self):
        # Parts of 1,000 bytes, one by one, on one context in each direction.
        async with ws_connect(self.server, "/ws-parts-context", compression="deflate") as ws:
            for message in ["to and fro " * 2000, os.urandom(5500), "once more " * 2000, "", "x"]:
                sent = message.encode() if isinstance(message, str) else message
                await soon(ws.send(message))
                self.assertTrue(await soon(ws.recv()) == sent, "the echo differs")

    async def test_of_a_bomb_ends_at_the_limit(self):
        async with ws_connect(self.server, "/ws-deflate", compression="deflate") as ws:
            await soon(ws.send(b"\0" * (MAX_MESSAGE_LEN + 1)))
            with self.assertRaises(ConnectionClosed) as closed:
                await soon(ws.recv())
            self.assertEqual(closed.exception.rcvd.code, 1009)


class Agreement(TestbedCase, unittest.IsolatedAsyncioTestCase):
    async def test_on_a_subprotocol_is_in_the_servers_order(self):
        names = ["v1.example", "v0.example", "v2.example"]
        async with ws_connect(self.server, "/ws-subprotocol", subprotocols=names) as ws:
            self.assertEqual(ws.subprotocol, "v2.example")
            await soon(ws.send("which?"))
            self.assertEqual(await soon(ws.recv()), "v2.example")

    async def test_pages_of_other_hosts_are_refused(self):
        own = f"https://localhost:{self.server.port}"
        async with ws_connect(self.server, origin=own) as ws:
            await soon(ws.send("x"))
        for origin in ["https://evil.example", "https://localhost", "null"]:
            with self.assertRaises(InvalidStatus) as refused:
                async with ws_connect(self.server, origin=origin):
                    pass
            self.assertEqual(refused.exception.response.status_code, 403)
