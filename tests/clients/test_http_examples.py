"""The examples that speak plain HTTP, used as their headers say: with curl and a browser."""

import contextlib
import http.client
import json
import os
import unittest

from chromium import Chromium
from harness import (
    ARTIFACTS, DEV_CERTS, PATIENCE, Server, curl, running, temporary_folder, wait_for,
)


@contextlib.contextmanager
def example(name: str, *args: str):
    """Runs an example on a free port; gives a function that makes URLs of paths."""
    with running(name, "--port", "0", *args, schemes=("http",)) as server:
        yield lambda path="/": server.url(path, scheme="http")


def browser() -> Chromium:
    return Chromium(trusted=DEV_CERTS / "server.pem")


def statuses(transfers) -> list[int]:
    return [transfer.status for transfer in transfers]


class HttpSimple(unittest.TestCase):
    def setUp(self):
        self.url = self.enterContext(example("http_simple"))

    def test_decodes_the_query(self):
        named, plain, bad = curl([self.url("/hello?name=J%C3%BCrgen+M")], [self.url("/hello")],
                                 [self.url("/hello?name=%FF")])
        self.assertEqual(named.body.decode(), "Hello Jürgen M!\n")
        self.assertEqual(plain.body, b"Hello World!\n")
        self.assertEqual(bad.status, 400)

    def test_takes_parameters_from_the_path(self):
        found, missing = curl([self.url("/users/7/posts/a%20b")], [self.url("/users/7/posts")])
        self.assertEqual(found.body, b"post a b of user 7\n")
        self.assertEqual(missing.status, 404)
        self.assertEqual(missing.body, b"/users/7/posts is not here (yet)\n")

    def test_echoes_and_takes_any_method(self):
        echo, deleted, put = curl(
            ["--data", "are you there?", self.url("/echo")],
            ["-X", "DELETE", self.url("/any")],
            ["-X", "PUT", self.url("/hello")],
        )
        self.assertEqual(echo.body, b"are you there?")
        self.assertEqual(deleted.body, b"DELETE is fine with me\n")
        self.assertEqual((put.status, put.field("Allow")), (405, "GET, HEAD, OPTIONS"))

    def test_asks_for_a_password(self):
        url = self.url("/basic_auth")
        nobody, wrong, prefix, right = curl(
            [url],
            ["--user", "ESP32:", url],
            ["--user", "ESP32:ESP32Web", url],
            ["--user", "ESP32:ESP32Webserver", url],
        )
        self.assertEqual(statuses([nobody, wrong, prefix, right]), [401, 401, 401, 200])
        self.assertEqual(nobody.field("WWW-Authenticate"), 'Basic realm="the rest", charset="UTF-8"')
        self.assertEqual(right.body, b"you may come in\n")

    def test_takes_routes_away_and_brings_them_back(self):
        hello, echo = [self.url("/hello")], ["--data", "x", self.url("/echo")]

        def ctrl(value):
            return ["-X", "PUT", "--data", value, self.url("/ctrl")]

        self.assertEqual(statuses(curl(hello, ctrl("0"), hello, echo, ctrl("1"), hello, echo)),
                         [200, 200, 404, 404, 200, 200, 200])


class PersistentSockets(unittest.TestCase):
    def test_each_connection_has_its_own_sum(self):
        with example("persistent_sockets") as url:
            def add(number):
                return ["--data", number, url("/adder")]

            for _ in range(2):
                runs = curl(add("5"), add("7"), add("-2"), [url("/adder")])
                self.assertEqual([run.body for run in runs], [b"5\n", b"12\n", b"10\n", b"10\n"])
                self.assertFalse(any(run.is_new_connection for run in runs[1:]))
            [nonsense] = curl(add("five"))
            self.assertEqual(nonsense.status, 400)


class AsyncHandlers(unittest.TestCase):
    def test_long_work_does_not_hold_up_quick_requests(self):
        with running("async_handlers", "--port", "0", schemes=("http",)) as server:
            long = [self.enterContext(Streamed(server, "/long")) for _ in range(2)]
            for stream in long:
                self.assertEqual(stream.next_chunk(), b"1\n")
            self.assertEqual(statuses(curl(*[[server.url("/quick", scheme="http")]] * 5)),
                             [200] * 5)
            for stream in long:
                self.assertEqual(stream.next_chunk(), b"2\n")

    def test_more_than_the_workers_can_hold_is_refused(self):
        with running("async_handlers", "--port", "0", schemes=("http",)) as server:
            # Two are worked on and two wait.
            working = [self.enterContext(Streamed(server, "/long")) for _ in range(2)]
            for stream in working:
                stream.next_chunk()
            waiting = [self.enterContext(Streamed(server, "/long", wait=False)) for _ in range(2)]
            self.assertEqual(len(waiting), 2)
            wait_for(lambda: curl([server.url("/long", scheme="http"), "--max-time", "1"])[0].status
                     == 503, "the queue to be full")


class Streamed:
    """A response in chunks, read as they come."""

    def __init__(self, server: Server, path: str, wait: bool = True, **headers: str):
        self.client = http.client.HTTPConnection("localhost", server.ports["http"], timeout=PATIENCE)
        self.client.request("GET", path, headers=headers)
        if wait:
            self.response = self.client.getresponse()

    def next_chunk(self) -> bytes:
        return self.response.read1()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()


class FileServing(unittest.TestCase):
    def setUp(self):
        self.folder = temporary_folder(self)
        self.files = self.folder / "files"
        self.url = self.enterContext(
            example("file_serving", "--dir", str(self.files), "--max-len", "3000000"))

    def upload(self, name: str, content: bytes, *args: str):
        source = self.folder / f"source-{len(list(self.folder.iterdir()))}"
        source.write_bytes(content)
        return ["--data-binary", f"@{source}", *args, self.url(f"/upload/{name}")]

    def test_a_file_goes_up_and_down_and_away(self):
        content = bytes(range(256)) * 8192
        up, listed, down, deleted, again, gone = curl(
            self.upload("photo%20one.jpg", content),
            [self.url("/files")],
            [self.url("/files/photo%20one.jpg")],
            ["-X", "POST", self.url("/delete/photo%20one.jpg")],
            ["-X", "POST", self.url("/delete/photo%20one.jpg")],
            [self.url("/files/photo%20one.jpg")],
        )
        self.assertEqual(statuses([up, listed, down, deleted, again, gone]),
                         [201, 200, 200, 200, 404, 404])
        self.assertEqual(json.loads(listed.body), [{"name": "photo one.jpg", "len": len(content)}])
        self.assertEqual(down.body, content)
        self.assertEqual(down.field("Content-Disposition"), "attachment")
        self.assertEqual(list(self.files.iterdir()), [])

    def test_a_chunked_upload_of_unknown_length_is_taken(self):
        [up] = curl(self.upload("a", b"x" * 100_000, "-H", "Transfer-Encoding: chunked"))
        self.assertEqual(up.status, 201)
        self.assertEqual((self.files / "a").read_bytes(), b"x" * 100_000)

    def test_no_name_leads_out_of_the_directory(self):
        (self.folder / "secret").write_text("not yours")
        for name in ["..", ".hidden", "..%2Fsecret", "%2e%2e%2fsecret", "..%5csecret", "a%00b",
                     "%2Fetc%2Fpasswd", "C%3Ax", "a%0d%0ab", "%FF"]:
            down, up = curl(
                ["--path-as-is", self.url(f"/files/{name}")],
                ["--path-as-is", "--data", "x", self.url(f"/upload/{name}")],
            )
            # `..` as a whole segment is no different: what was sent is what is looked at.
            self.assertEqual((down.status, up.status), (400, 400), name)
        self.assertEqual(statuses(curl(["--path-as-is", self.url("/files/../secret")])), [404])
        self.assertEqual(list(self.files.iterdir()), [])

    def test_only_files_are_sent_and_deleted(self):
        (self.files / "folder").mkdir()
        os.mkfifo(self.files / "pipe")
        for name in ["folder", "pipe"]:
            down, deleted = curl(
                [self.url(f"/files/{name}")],
                ["-X", "POST", self.url(f"/delete/{name}")],
            )
            self.assertEqual((down.status, deleted.status), (404, 404), name)
        self.assertEqual(len(list(self.files.iterdir())), 2)

    def test_a_file_is_never_overwritten_and_never_too_long(self):
        first, second, long, chunked = curl(
            self.upload("a", b"one"),
            self.upload("a", b"two"),
            self.upload("b", b"x" * 3_000_001),
            self.upload("c", b"x" * 3_000_001, "-H", "Transfer-Encoding: chunked"),
        )
        self.assertEqual(statuses([first, second, long, chunked]), [201, 409, 413, 413])
        self.assertEqual([file.name for file in self.files.iterdir()], ["a"])
        self.assertEqual((self.files / "a").read_bytes(), b"one")

    def test_the_page_uploads_with_progress_and_deletes(self):
        with browser() as chromium:
            page = chromium.open(self.url())
            wait_for(lambda: "nothing yet" in page.text(), "the empty list")
            # As a person would, but for the dialog in which files are chosen.
            page.evaluate("""
                const files = new DataTransfer();
                files.items.add(new File(["x".repeat(2000000)], "from the page.txt"));
                document.querySelector("input").files = files.files;
                document.querySelector("form button").click();
            """)
            wait_for(lambda: "from the page.txt is stored" in page.text(), "the upload")
            wait_for(lambda: "2,000,000" in page.text(), "the list")
            self.assertEqual(page.evaluate("document.querySelector('progress').value"), 2000000)
            page.screenshot(ARTIFACTS / "file_serving.png")
            self.assertEqual((self.files / "from the page.txt").stat().st_size, 2_000_000)
            page.evaluate("document.querySelector('td button').click()")
            wait_for(lambda: "nothing yet" in page.text(), "the empty list again")
            self.assertEqual(page.errors(), [])


class RestfulServer(unittest.TestCase):
    def test_the_api(self):
        with example("restful_server") as url:
            def set_light(body, content_type="application/json"):
                return ["-H", f"Content-Type: {content_type}", "--data", body,
                        url("/api/v1/light/brightness")]

            info, raw, light, wrong, too_much, form = curl(
                [url("/api/v1/system/info")],
                [url("/api/v1/temp/raw")],
                set_light('{"red": 160, "green": 40, "blue": 0}'),
                set_light('{"red": 256, "green": 40, "blue": 0}'),
                set_light('{"red": 1, "green": 2, "blue": 3, "white": 4}'),
                set_light("red=1", "application/x-www-form-urlencoded"),
            )
            self.assertEqual(set(json.loads(info.body)), {"version", "cores", "up"})
            self.assertIsInstance(json.loads(raw.body)["raw"], float)
            self.assertEqual(json.loads(light.body), {"red": 160, "green": 40, "blue": 0})
            self.assertEqual(statuses([wrong, too_much, form]), [400, 400, 415])
            [light] = curl([url("/api/v1/light/brightness")])
            self.assertEqual(json.loads(light.body)["red"], 160)

    def test_the_front_end_sets_the_light(self):
        with example("restful_server") as url, browser() as chromium:
            page = chromium.open(url())
            wait_for(lambda: page.evaluate("document.querySelector('output').value") != "–",
                     "the temperature")
            page.evaluate("""
                const slider = document.querySelector("input[name=green]");
                slider.value = 200;
                slider.dispatchEvent(new Event("input"));
            """)
            lamp = "document.getElementById('lamp').style.background"
            wait_for(lambda: page.evaluate(lamp) == "rgb(0, 200, 0)", "the lamp to be green")
            page.screenshot(ARTIFACTS / "restful_server.png")
            self.assertEqual(page.errors(), [])
            [light] = curl([url("/api/v1/light/brightness")])
            self.assertEqual(json.loads(light.body), {"red": 0, "green": 200, "blue": 0})


class Sse(unittest.TestCase):
    def test_events_come_one_by_one_and_go_on_where_they_ended(self):
        with running("sse", "--port", "0", schemes=("http",)) as server:
            with Streamed(server, "/sse") as stream:
                self.assertEqual(stream.response.headers["Content-Type"], "text/event-stream")
                first = stream.next_chunk().decode()
                self.assertRegex(first, r"\Aid: 1\ndata: up for \d+ s\n\n\Z")
                self.assertRegex(stream.next_chunk().decode(), r"\Aid: 2\ndata: ")
            for last, next_one in [("2", 3), (str(2**32 - 1), 2**32), ("nonsense", 1)]:
                with Streamed(server, "/sse", **{"Last-Event-ID": last}) as stream:
                    self.assertRegex(stream.next_chunk().decode(), rf"\Aid: {next_one}\ndata: ")

    def test_a_browser_shows_them(self):
        with example("sse") as url, browser() as chromium:
            page = chromium.open(url())
            wait_for(lambda: "2: up for" in page.text(), "the second event")
            self.assertIn("Connection: open", page.text())
            page.screenshot(ARTIFACTS / "sse.png")
            self.assertEqual(page.errors(), [])
