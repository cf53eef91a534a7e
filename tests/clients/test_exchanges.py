"""Requests that the server decodes and responses of every kind, with curl, Python and a browser."""

import email.utils
import http.client
import time

from chromium import Chromium
from harness import (
    DEV_CERTS, PAGE, PATIENCE, TestbedCase, curl, temporary_folder, tls_context, wait_for,
)


class Decoded(TestbedCase):
    def test_a_query(self):
        url = self.server.url("/query")
        encoded = ["--get", "--data-urlencode", "q=a b+c & é/%", url]
        broken = [url + "?q=%ff"]
        first, second, third = curl(encoded, [url], broken)
        self.assertEqual(first.body.decode(), "a b+c & é/%")
        self.assertEqual(second.body, b"")
        self.assertEqual(third.status, 400)
        self.assertFalse(third.is_new_connection)

    def test_a_form(self):
        url = self.server.url("/form")
        fields = ["--data-urlencode", "name=Jürgen & Söhne"]
        fields += ["--data", "topping=a+b&topping=c&empty"]
        multipart = ["--form", "name=x", url]
        broken = ["--data", "name=%zz", url]
        form, refused, bad = curl([*fields, url], multipart, broken)
        pairs = "name=Jürgen & Söhne\ntopping=a b\ntopping=c\nempty=\n"
        self.assertEqual(form.body.decode(), pairs)
        self.assertEqual((refused.status, bad.status), (415, 400))

    def test_cookies_and_a_redirect(self):
        jar = temporary_folder(self) / "jar"
        flags = ["--location", "--cookie-jar", jar, "--cookie", "a=1; b=2=3"]
        [page] = curl([*flags, self.server.url("/redirect")])
        self.assertEqual(page.info["num_redirects"], 1)
        self.assertEqual(page.info["num_connects"], 1)
        self.assertEqual(page.heads[0][0], "HTTP/1.1 303 See Other")
        self.assertIn("seen=yes\n", page.body.decode())
        self.assertIn("b=2=3\n", page.body.decode())

    def test_trailers(self):
        connection = http.client.HTTPSConnection(
            "localhost", self.server.port, timeout=PATIENCE, context=tls_context()
        )
        self.addCleanup(connection.close)
        connection.putrequest("POST", "/trailers")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders(b"5\r\nhello\r\n0\r\nX-Sum: 532\r\n\r\n")
        self.assertEqual(connection.getresponse().read(), b"X-Sum=532\n")


class Encoded(TestbedCase):
    schemes = ("https", "http")

    def test_every_response_tells_the_date(self):
        before = int(time.time())
        paths = ["/", "/nowhere", "/64k", "/stream?chunks=2&size=9", "/not-modified"]
        for transfer in curl(*([self.server.url(path)] for path in paths)):
            date = email.utils.parsedate_to_datetime(transfer.field("Date"))
            self.assertLessEqual(before - 1, date.timestamp())
            self.assertLessEqual(date.timestamp(), time.time())
            self.assertEqual(email.utils.format_datetime(date, usegmt=True), transfer.field("Date"))

    def test_trailers(self):
        [transfer] = curl([self.server.url("/trailers")])
        self.assertEqual(transfer.body, b"1 + 1")
        # curl writes them where it writes heads.
        self.assertEqual(transfer.heads[-1][0], "X-Sum: 2")

    def test_interim_responses(self):
        hints, page = curl([self.server.url("/hints")], [self.server.url()])
        self.assertEqual([head[0] for head in hints.heads],
                         ["HTTP/1.1 103 Early Hints", "HTTP/1.1 200 OK"])
        self.assertEqual(hints.heads[0][1:], ["Link: </style.css>; rel=preload; as=style"])
        self.assertEqual(hints.body, b"<h1>hinted</h1>")
        self.assertEqual((page.body, page.is_new_connection), (PAGE, False))
        [old] = curl(["--http1.0", self.server.url("/hints")])
        self.assertEqual(len(old.heads), 1)

    def test_a_status_of_ones_own_and_raw_bytes(self):
        paths = ["/teapot", "/raw", "/not-modified", "/"]
        teapot, raw, not_modified, page = curl(*([self.server.url(path)] for path in paths))
        self.assertEqual(teapot.heads[0][0], "HTTP/1.1 418 I'm a teapot")
        self.assertEqual(teapot.body, b"short and stout\n")
        self.assertEqual((raw.heads[0][0], raw.body), ("HTTP/1.1 200 As Is", b"raw\n"))
        self.assertEqual((not_modified.status, not_modified.body), (304, b""))
        # What each of them was not, a misunderstanding of it would be.
        self.assertEqual((page.body, page.is_new_connection), (PAGE, False))


class Events(TestbedCase):
    def test_come_as_they_are_written(self):
        fields = ["--header", "Last-Event-ID: 1", self.server.url("/events?count=2")]
        [stream] = curl(fields)
        self.assertEqual(stream.field("Content-Type"), "text/event-stream")
        self.assertEqual(stream.field("Cache-Control"), "no-store")
        self.assertEqual(stream.body.decode(),
                         ": hello\n\nevent: count\nid: 2\nretry: 10\ndata: event 2\ndata: of 2\n\n")

    def test_are_understood_by_a_browser_which_comes_back_until_it_is_sent_away(self):
        with Chromium(trusted=DEV_CERTS / "server.pem") as chromium:
            page = chromium.open(self.server.url())
            page.evaluate("""
                window.seen = [];
                const events = new EventSource("/events?count=3");
                events.addEventListener("count", event => seen.push(event.lastEventId, event.data));
                events.onerror = () => { window.state = events.readyState; };
            """)
            closed = "window.state === EventSource.CLOSED"
            wait_for(lambda: page.evaluate(closed), "the end of the events")
            self.assertEqual(page.evaluate("window.seen"),
                             ["1", "event 1\nof 3", "2", "event 2\nof 3", "3", "event 3\nof 3"])
