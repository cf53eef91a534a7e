"""HTTP/1.1 as curl speaks it."""

import os
import re
import subprocess

from harness import DEV_CA, PAGE, PATIENCE, CurlError, TestbedCase, curl, temporary_folder, testbed


class Page(TestbedCase):
    def test_over_tls_1_2(self):
        self.check_page("TLSv1.2", "--tls-max", "1.2")

    def test_over_tls_1_3(self):
        self.check_page("TLSv1.3", "--tlsv1.3")

    def check_page(self, version, *flags):
        command = ["curl", "--verbose", "--silent", "--cacert", str(DEV_CA), *flags]
        done = subprocess.run(
            [*command, self.server.url()], capture_output=True, timeout=PATIENCE, text=True
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, PAGE.decode())
        self.assertIn(f"SSL connection using {version}", done.stderr)
        self.assertIn("< HTTP/1.1 200 OK", done.stderr)

    def test_has_type_and_length(self):
        [page] = curl([self.server.url()])
        self.assertEqual(page.status, 200)
        self.assertEqual(page.body, PAGE)
        self.assertEqual(page.field("Content-Type"), "text/html")
        self.assertEqual(page.field("Content-Length"), str(len(PAGE)))

    def test_over_ipv4_and_ipv6(self):
        for host in ["127.0.0.1", "[::1]"]:
            with self.subTest(host):
                [page] = curl([self.server.url(host=host)])
                self.assertEqual(page.body, PAGE)

    def test_an_untrusted_server_is_refused(self):
        folder = temporary_folder(self)
        other_ca = folder / "empty.pem"
        other_ca.touch()
        with self.assertRaises(CurlError):
            curl([self.server.url()], ca=other_ca)


class KeepAlive(TestbedCase):
    def test_serves_many_requests_on_one_connection(self):
        paths = ["/", "/1k", "/64k", "/nowhere", "/stream?chunks=3&size=100", "/"]
        transfers = curl(*([self.server.url(path)] for path in paths))
        self.assertEqual([t.status for t in transfers], [200, 200, 200, 404, 200, 200])
        self.assertEqual([t.info["num_connects"] for t in transfers], [1, 0, 0, 0, 0, 0])

    def test_ends_when_the_client_says_close(self):
        request = ["--header", "Connection: close", self.server.url()]
        first, second = curl(request, request)
        self.assertEqual(first.field("Connection").lower(), "close")
        self.assertTrue(second.is_new_connection)
        self.assertEqual(second.body, PAGE)

    def test_an_http_1_0_client_gets_one_response_per_connection(self):
        request = ["--http1.0", self.server.url()]
        for transfer in curl(request, request):
            self.assertEqual(transfer.body, PAGE)
            self.assertTrue(transfer.is_new_connection)

    def test_a_stream_to_an_http_1_0_client_ends_with_the_connection(self):
        [stream] = curl(["--http1.0", self.server.url("/stream?chunks=10&size=1000")])
        self.assertEqual(len(stream.body), 10_000)
        self.assertIsNone(stream.field("Transfer-Encoding"))


class Download(TestbedCase):
    def test_has_the_size_it_should(self):
        for path, size in [("/1k", 1 << 10), ("/64k", 1 << 16), ("/1m", 1 << 20)]:
            with self.subTest(path):
                [transfer] = curl([self.server.url(path)])
                self.assertEqual(transfer.status, 200)
                self.assertEqual(len(transfer.body), size)
                self.assertEqual(transfer.field("Content-Type"), "application/octet-stream")

    def test_in_chunks(self):
        [transfer] = curl([self.server.url("/stream?chunks=50&size=1000")])
        self.assertEqual(transfer.field("Transfer-Encoding"), "chunked")
        self.assertIsNone(transfer.field("Content-Length"))
        self.assertEqual(len(transfer.body), 50_000)

    def test_in_ranges(self):
        url = self.server.url("/1m")
        [whole] = curl([url])
        size = len(whole.body)
        for asked, first, end in [
            ("0-99", 0, 100),
            ("65000-70000", 65000, 70001),
            (f"{size - 10}-", size - 10, size),
            ("-10", size - 10, size),
            (f"100-{2 * size}", 100, size),
        ]:
            with self.subTest(asked):
                [part] = curl(["--range", asked, url])
                self.assertEqual(part.status, 206)
                self.assertEqual(part.field("Content-Range"), f"bytes {first}-{end - 1}/{size}")
                self.assertEqual(part.body, whole.body[first:end])

    def test_of_the_head_only(self):
        head, page = curl(["--head", self.server.url("/1m")], [self.server.url()])
        self.assertEqual(head.status, 200)
        self.assertEqual(head.field("Content-Length"), str(1 << 20))
        # A body after it would be taken for the next response.
        self.assertFalse(page.is_new_connection)
        self.assertEqual(page.body, PAGE)


class Upload(TestbedCase):
    def setUp(self):
        self.file = temporary_folder(self) / "body"

    def echo(self, size: int, *flags: str):
        self.file.write_bytes(os.urandom(size))
        request = ["--data-binary", f"@{self.file}", "--header", "Content-Type: application/x-test"]
        [transfer] = curl([*request, *flags, self.server.url("/echo")])
        self.assertEqual(transfer.status, 200)
        self.assertEqual(transfer.field("Content-Type"), "application/x-test")
        self.assertTrue(transfer.body == self.file.read_bytes(), "the echo differs")
        return transfer

    def test_of_nothing(self):
        self.echo(0)

    def test_with_a_length(self):
        self.echo(100_000, "--header", "Expect:")

    def test_in_chunks(self):
        self.echo(3_000_000, "--header", "Transfer-Encoding: chunked", "--header", "Expect:")

    def test_of_a_megabyte_after_100_continue(self):
        # Without the interim response, curl would wait longer than its transfer may take.
        flags = ["--header", "Expect: 100-continue", "--expect100-timeout", str(2 * PATIENCE)]
        transfer = self.echo(1 << 20, *flags)
        self.assertRegex(transfer.heads[0][0], r"^HTTP/1\.1 100 ")

    def test_in_chunks_after_100_continue(self):
        flags = ["--header", "Expect: 100-continue", "--expect100-timeout", str(2 * PATIENCE)]
        transfer = self.echo(1 << 20, "--header", "Transfer-Encoding: chunked", *flags)
        self.assertRegex(transfer.heads[0][0], r"^HTTP/1\.1 100 ")


class Routes(TestbedCase):
    def test_have_parameters_which_are_decoded(self):
        for path, item in [("/items/7/", "7"), ("/items/gr%C3%BCn%2Fblau/a/b?c", "grün/blau")]:
            with self.subTest(path):
                [transfer] = curl([self.server.url(path)])
                self.assertEqual(transfer.body.decode(), f"item {item}\n")
        statuses = [curl([self.server.url(path)])[0].status for path in ["/items/7", "/items//a"]]
        self.assertEqual(statuses, [404, 404])

    def test_say_what_they_can_be_asked_for(self):
        [transfer] = curl(["--request", "OPTIONS", self.server.url("/echo")])
        self.assertEqual(transfer.status, 204)
        self.assertEqual(transfer.field("Allow"), "POST, OPTIONS")
        [transfer] = curl(["--request", "OPTIONS", "--request-target", "*", self.server.url()])
        self.assertEqual(transfer.status, 204)
        self.assertIn("DELETE", re.split(r",\s*", transfer.field("Allow")))

    def test_come_and_go_while_the_server_runs(self):
        page, routes = self.server.url("/new"), self.server.url("/routes/new")
        for text in ["first", "second"]:
            transfers = curl(
                [page],
                ["--data", text, routes],
                [page],
                ["--request", "DELETE", routes],
                ["--request", "DELETE", routes],
                [page],
            )
            statuses = [transfer.status for transfer in transfers]
            self.assertEqual(statuses, [404, 201, 200, 204, 404, 404])
            self.assertEqual(transfers[2].body.decode(), text)


class Refusal(TestbedCase):
    args = ("--max-req-hdr-len", "1024", "--max-uri-len", "256")

    def test_of_an_unknown_path(self):
        [transfer] = curl([self.server.url("/nowhere")])
        self.assertEqual(transfer.status, 404)

    def test_of_a_method_says_which_are_allowed(self):
        for method, path, allowed in [("DELETE", "/", "GET"), ("GET", "/echo", "POST")]:
            with self.subTest(f"{method} {path}"):
                [transfer] = curl(["--request", method, self.server.url(path)])
                self.assertEqual(transfer.status, 405)
                self.assertIn(allowed, re.split(r",\s*", transfer.field("Allow")))

    def test_of_a_long_uri(self):
        [transfer] = curl([self.server.url("/" + "a" * 300)])
        self.assertEqual(transfer.status, 414)

    def test_of_a_long_head(self):
        [transfer] = curl(["--header", "X-Long: " + "a" * 1100, self.server.url()])
        self.assertEqual(transfer.status, 431)


class Handlers(TestbedCase):
    def test_see_the_header_fields(self):
        [transfer] = curl(["--header", "X-Who: somebody new", self.server.url("/headers")])
        self.assertRegex(transfer.body.decode(), r"(?im)^x-who: somebody new\r?$")

    def test_that_wait_do_not_stop_others(self):
        for workers in ["1", "2"]:
            with self.subTest(workers=workers), testbed("--workers", workers) as server:
                url = server.url(f"/sleep?ms={int(PATIENCE * 500)}")
                sleeper = subprocess.Popen(
                    ["curl", "--silent", "--cacert", str(DEV_CA), url], stdout=subprocess.PIPE
                )
                try:
                    for _ in range(10):
                        [page] = curl([server.url()])
                        self.assertEqual(page.body, PAGE)
                    self.assertIsNone(sleeper.poll(), "the request that sleeps is done already")
                finally:
                    sleeper.kill()
                    sleeper.communicate()

    def test_that_panic_cost_one_response(self):
        [page] = curl([self.server.url()])
        [panic] = curl([self.server.url("/panic")])
        self.assertEqual(panic.status, 500)
        for _ in range(20):
            [panic], [page] = curl([self.server.url("/panic")]), curl([self.server.url()])
            self.assertEqual((panic.status, page.status), (500, 200))
