"""What the Autobahn TestSuite asks of a server, for machines without Python 2.7: its groups on
fragmentation, pings, reserved bits and opcodes, UTF-8, and closing, frame by frame over plain TCP and
TLS. `tests/autobahn` runs the suite itself."""

import os
import socket
import struct
import unittest

from harness import PATIENCE, TestbedCase, tls_connect

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
FIN = 0x80


class Connection:
    """A WebSocket client that sends whatever it is told."""

    def __init__(self, server, scheme: str, path: str = "/ws"):
        if scheme == "wss":
            self.sock = tls_connect(server)
        else:
            address = ("127.0.0.1", server.ports["http"])
            self.sock = socket.create_connection(address, timeout=PATIENCE)
        self.sock.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        head = self._read_until(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise AssertionError(f"no WebSocket: {head!r}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, first: int, payload: bytes = b""):
        self.sock.sendall(frame(first, payload))

    def send_bytes(self, octets: bytes):
        self.sock.sendall(octets)

    def recv(self) -> tuple[int, bytes]:
        first, length = self._read(2)
        if length == 126:
            [length] = struct.unpack("!H", self._read(2))
        elif length == 127:
            [length] = struct.unpack("!Q", self._read(8))
        return first, self._read(length)

    def recv_close(self) -> int | None:
        """The code of the close frame that comes next; nothing follows it."""
        first, payload = self.recv()
        if first != FIN | CLOSE:
            raise AssertionError(f"not a close frame: {first:#x} {payload!r}")
        self.send(FIN | CLOSE, payload)
        try:
            rest = self.sock.recv(1)
        except (ConnectionResetError, OSError):
            rest = b""
        if rest:
            raise AssertionError(f"bytes behind a close frame: {rest!r}")
        return struct.unpack("!H", payload[:2])[0] if payload else None

    def _read(self, length: int) -> bytes:
        received = b""
        while len(received) < length:
            part = self.sock.recv(length - len(received))
            if not part:
                raise AssertionError("the connection ended too early")
            received += part
        return received

    def _read_until(self, end: bytes) -> bytes:
        received = b""
        while not received.endswith(end):
            received += self._read(1)
        return received


def frame(first: int, payload: bytes = b"") -> bytes:
    """A frame as a client sends it."""
    key = os.urandom(4)
    length = len(payload)
    if length < 126:
        head = bytes([first, 0x80 | length])
    elif length < 1 << 16:
        head = bytes([first, 0x80 | 126]) + struct.pack("!H", length)
    else:
        head = bytes([first, 0x80 | 127]) + struct.pack("!Q", length)
    return head + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


# Group 6: sequences that are UTF-8, and some that are not at their last byte or before it.
VALID_UTF_8 = [
    "Hello-µ@ßöäüàá-UTF-8!!".encode(),
    "κόσμε".encode(),
    b"\x00", b"\x7f", b"\xc2\x80", b"\xdf\xbf", b"\xe0\xa0\x80", b"\xed\x9f\xbf", b"\xee\x80\x80",
    b"\xef\xbf\xbd", b"\xef\xbf\xbe", b"\xef\xbf\xbf", b"\xf0\x90\x80\x80", b"\xf4\x8f\xbf\xbf",
]
INVALID_UTF_8 = [
    b"\x80", b"\xbf", b"\xc0\xaf", b"\xc1\xbf", b"\xc0\x80", b"\xe0\x80\xaf", b"\xe0\x9f\xbf",
    b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf0\x80\x80\xaf", b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xfe", b"\xff",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98",
]
CLOSE_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
BAD_CLOSE_CODES = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]


class Cases(TestbedCase):
    schemes = ("http", "https")

    def each(self, path: str = "/ws"):
        """A new connection, by both schemes."""
        for scheme in ["ws", "wss"]:
            with self.subTest(scheme=scheme), Connection(self.server, scheme, path) as connection:
                yield connection

    def check_closed(self, frames: bytes, code: int):
        for ws in self.each():
            ws.send_bytes(frames)
            self.assertEqual(ws.recv_close(), code)

    def test_1_messages_of_every_length(self):
        for ws in self.each():
            for opcode in [TEXT, BINARY]:
                for length in [0, 125, 126, 127, 128, 65535, 65536]:
                    ws.send(FIN | opcode, b"*" * length)
                    self.assertEqual(ws.recv(), (FIN | opcode, b"*" * length))
            message = b"*" * 65536
            octets = frame(FIN | BINARY, message)
            for at in range(0, len(octets), 997):
                ws.send_bytes(octets[at:at + 997])
            self.assertEqual(ws.recv(), (FIN | BINARY, message))

    def test_2_pings_and_pongs(self):
        for ws in self.each():
            for payload in [b"", b"Hello", b"\x00\xff\xfe\xfd", b"\xfe" * 125]:
                ws.send(FIN | PING, payload)
                self.assertEqual(ws.recv(), (FIN | PONG, payload))
            ws.send(FIN | PONG, b"unsolicited")
            for number in range(10):
                ws.send(FIN | PING, b"payload-%d" % number)
            for number in range(10):
                self.assertEqual(ws.recv(), (FIN | PONG, b"payload-%d" % number))
            for octet in frame(FIN | PING, b"dripping"):
                ws.send_bytes(bytes([octet]))
            self.assertEqual(ws.recv(), (FIN | PONG, b"dripping"))
        self.check_closed(frame(FIN | PING, b"\xfe" * 126), 1002)

    def test_3_reserved_bits(self):
        for bits in range(1, 8):
            for opcode in [TEXT, BINARY, PING, CLOSE]:
                self.check_closed(frame(FIN | bits << 4 | opcode, b"x"), 1002)

    def test_4_reserved_opcodes(self):
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]:
            self.check_closed(frame(FIN | opcode), 1002)
            for ws in self.each():
                ws.send_bytes(frame(FIN | TEXT, b"Hello") + frame(FIN | opcode, b"x"))
                self.assertEqual(ws.recv(), (FIN | TEXT, b"Hello"))
                self.assertEqual(ws.recv_close(), 1002)

    def test_5_fragments(self):
        for ws in self.each():
            ws.send(TEXT, b"fragment1")
            ws.send(FIN | PING, b"between")
            self.assertEqual(ws.recv(), (FIN | PONG, b"between"))
            ws.send(CONTINUATION)
            ws.send(FIN | CONTINUATION, b"fragment2")
            self.assertEqual(ws.recv(), (FIN | TEXT, b"fragment1fragment2"))
        self.check_closed(frame(PING, b"part") + frame(FIN | CONTINUATION, b"rest"), 1002)
        self.check_closed(frame(FIN | CONTINUATION, b"of nothing"), 1002)
        self.check_closed(frame(CONTINUATION, b"of nothing"), 1002)
        self.check_closed(frame(TEXT, b"one") + frame(FIN | TEXT, b"two"), 1002)

    def test_6_utf_8(self):
        for ws in self.each():
            for text in VALID_UTF_8:
                ws.send(FIN | TEXT, text)
                self.assertEqual(ws.recv(), (FIN | TEXT, text))
                first, rest = text[:1], text[1:]
                ws.send(TEXT, first)
                for at in range(len(rest)):
                    ws.send(CONTINUATION, rest[at:at + 1])
                ws.send(FIN | CONTINUATION)
                self.assertEqual(ws.recv(), (FIN | TEXT, text))
        for text in INVALID_UTF_8:
            with self.subTest(text=text):
                self.check_closed(frame(FIN | TEXT, text), 1007)
                self.check_closed(frame(TEXT, text) + frame(FIN | CONTINUATION), 1007)

    def test_6_4_utf_8_fails_fast(self):
        for ws in self.each():
            ws.send(TEXT, "κόσμε".encode() + b"\xf4\x90")
            self.assertEqual(ws.recv_close(), 1007)
        for ws in self.each():
            ws.send_bytes(frame(FIN | TEXT, b"\xff" + b"never comes")[:7])
            self.assertEqual(ws.recv_close(), 1007)

    def test_7_closing(self):
        self.check_closed(frame(FIN | CLOSE), None)
        self.check_closed(frame(FIN | CLOSE, b"x"), 1002)
        self.check_closed(frame(FIN | CLOSE, struct.pack("!H", 1000) + b"*" * 124), 1002)
        self.check_closed(frame(FIN | CLOSE, struct.pack("!H", 1000) + b"\xff"), 1007)
        self.check_closed(frame(FIN | CLOSE, struct.pack("!H", 1000) + b"*" * 123), 1000)
        for code in CLOSE_CODES:
            self.check_closed(frame(FIN | CLOSE, struct.pack("!H", code)), code)
        for code in BAD_CLOSE_CODES:
            self.check_closed(frame(FIN | CLOSE, struct.pack("!H", code)), 1002)

    def test_7_nothing_is_answered_behind_a_close(self):
        for late in [frame(FIN | TEXT, b"late"), frame(FIN | PING, b"late"), frame(TEXT, b"late")]:
            self.check_closed(frame(FIN | CLOSE, struct.pack("!H", 1000)) + late, 1000)

    def test_lengths_and_masks(self):
        self.check_closed(bytes([FIN | TEXT, 5]) + b"Hello", 1002)
        self.check_closed(bytes([FIN | TEXT, 0x80 | 126]) + struct.pack("!H", 125), 1002)
        self.check_closed(bytes([FIN | BINARY, 0x80 | 127]) + struct.pack("!Q", 65535), 1002)
        self.check_closed(bytes([FIN | BINARY, 0x80 | 127]) + struct.pack("!Q", 1 << 63), 1002)
        self.check_closed(bytes([FIN | BINARY, 0x80 | 127]) + struct.pack("!Q", (16 << 20) + 1)
                          + b"\0" * 4, 1009)

    def test_a_message_read_in_parts_is_the_same_message(self):
        for ws in self.each("/ws-parts"):
            message = os.urandom(5000)
            ws.send(BINARY, message[:3000])
            ws.send(FIN | CONTINUATION, message[3000:])
            received = b""
            while True:
                first, part = ws.recv()
                self.assertEqual(first & 0x0F, CONTINUATION if received else BINARY)
                received += part
                if first & FIN:
                    break
            self.assertEqual(received, message)


if __name__ == "__main__":
    unittest.main()
