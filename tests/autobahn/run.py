#!/usr/bin/env python3
"""Runs the Autobahn TestSuite's fuzzing client against the testbed, and is strict about it.

A case passes if its behaviour, and that of its closing handshake, is OK; what the suite calls
informational has no right answer. "Non-strict" is a failure here. README.md says what is needed.
"""

import argparse
import collections
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PASSED = {"OK", "INFORMATIONAL"}
# Which cases go where: compression needs a route that agrees to it.
ROUTES = {
    "/ws": ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"],
    "/ws-deflate": ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*", "12.*", "13.*"],
    "/ws-context": ["12.*", "13.*"],
}
# Group 9 sends 4 MB in frames of 64 bytes, and one more to end it.
FRAGMENTS = "131072"
# Seconds in which the testbed has to say where it listens.
PATIENCE = 20


def main() -> int:
    arguments = parse()
    with Testbed(arguments.testbed) as testbed:
        failures = 0
        for scheme in arguments.schemes:
            for route, cases in ROUTES.items():
                cases = [case for case in cases if wanted(case, arguments.groups)]
                if cases:
                    url = f"{scheme}://127.0.0.1:{testbed.ports[scheme]}{route}"
                    failures += run(arguments, url, f"{scheme}{route.replace('/', '-')}", cases)
    print("all passed" if failures == 0 else f"{failures} cases failed")
    return 1 if failures else 0


def parse() -> argparse.Namespace:
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wstest", default=shutil.which("wstest"), help="the suite's program")
    parser.add_argument("--testbed", default=target / "release/examples/testbed", type=Path)
    parser.add_argument("--reports", default=target / "ci/autobahn", type=Path)
    parser.add_argument("--schemes", nargs="*", default=["ws", "wss"], choices=["ws", "wss"])
    parser.add_argument("--groups", nargs="*", type=int, help="only these groups of cases")
    arguments = parser.parse_args()
    if not arguments.wstest:
        parser.error("wstest is missing: tests/autobahn/README.md says how to get it")
    if not arguments.testbed.exists():
        parser.error(f"{arguments.testbed} is missing: cargo build --release --example testbed")
    return arguments


def wanted(case: str, groups: list[int] | None) -> bool:
    return groups is None or int(case.split(".")[0]) in groups


class Testbed:
    """The testbed, running on free ports."""

    def __init__(self, program: Path):
        options = ["--http", "0", "--https", "0", "--max-ws-fragments", FRAGMENTS]
        self.process = subprocess.Popen([program, *options], stdout=subprocess.PIPE, text=True)
        self.ports = {}

    def __enter__(self):
        lines = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()
        while len(self.ports) < 2:
            line = lines.get(timeout=PATIENCE)
            match = re.fullmatch(r"listening on http(s?)://127\.0\.0\.1:(\d+)", line)
            self.ports["ws" + match[1]] = int(match[2])
        return self

    def __exit__(self, *_):
        is_alive = self.process.poll() is None
        self.process.terminate()
        code = self.process.wait(PATIENCE)
        if not is_alive or code != 0:
            raise SystemExit(f"the testbed ended with {code}")

    def _read(self, lines: queue.SimpleQueue):
        for line in self.process.stdout:
            lines.put(line.strip())


def run(arguments: argparse.Namespace, url: str, agent: str, cases: list[str]) -> int:
    """Runs the cases and says how many failed."""
    folder = arguments.reports / agent
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    spec = folder / "spec.json"
    spec.write_text(
        json.dumps(
            {
                "outdir": str(folder),
                "servers": [{"agent": agent, "url": url, "options": {"version": 18}}],
                "cases": cases,
                "exclude-cases": [],
                "exclude-agent-cases": {},
            }
        )
    )
    with (folder / "output.txt").open("w") as output:
        subprocess.run(
            [arguments.wstest, "--mode", "fuzzingclient", "--spec", str(spec)],
            stdout=output,
            stderr=output,
            cwd=folder,
            check=True,
        )
    results = json.loads((folder / "index.json").read_text())[agent]
    return report(agent, results)


def report(agent: str, results: dict) -> int:
    groups = collections.defaultdict(collections.Counter)
    failures = []
    for case, result in results.items():
        behaviours = (result["behavior"], result["behaviorClose"])
        groups[int(case.split(".")[0])][result["behavior"]] += 1
        if not PASSED.issuperset(behaviours):
            failures.append(f"  {case}: {behaviours[0]}, close {behaviours[1]}")
    print(f"{agent}: {len(results)} cases, {len(failures)} failed")
    for group, behaviours in sorted(groups.items()):
        counts = ", ".join(f"{count} {name}" for name, count in sorted(behaviours.items()))
        print(f"  group {group}: {counts}")
    print(*sorted(failures), sep="\n", end="\n" if failures else "")
    sys.stdout.flush()
    if not results:
        print("  no case was run", flush=True)
        return 1
    return len(failures)


if __name__ == "__main__":
    sys.exit(main())
