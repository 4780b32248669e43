"""The emulator over HTTP beside a bare standard-library server that answers canned bytes."""

from __future__ import annotations

import http.client
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import quote, urlsplit

from benchmarks.concurrency import emulator_process
from benchmarks.harness import Result, compare

MODEL = "us.amazon.nova-lite-v1:0"
PATH = f"/model/{quote(MODEL, safe='')}/converse"
BODY = json.dumps({"messages": [{"role": "user", "content": [{"text": "Hello there"}]}]}).encode()
HEADERS = {
    "Content-Type": "application/json",
    "Authorization": "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/bedrock/aws4_request,"
    " SignedHeaders=host, Signature=0",
}
CALLS = 300
ROUNDS = 9
PARALLEL = 500

# Its Nagle delay is turned off, or each answer would wait 40 ms for the client's acknowledgement.
BARE = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)
    def log_message(self, *_): ...
BODY = sys.argv[1].encode()
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
server.serve_forever()
"""


@contextmanager
def bare_process(answer: bytes) -> Iterator[str]:
    """A bare server in a process of its own; gives its URL."""
    command = [sys.executable, "-c", BARE, answer.decode()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


class Client:
    """One keep-alive connection."""

    def __init__(self, url: str) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc)

    def call(self) -> bytes:
        """Send the request and read the answer."""
        self.connection.request("POST", PATH, BODY, HEADERS)
        response = self.connection.getresponse()
        body = response.read()
        assert response.status == 200, body
        return body

    def p50_ms(self) -> float:
        """The median time of a call."""
        times = []
        for _ in range(CALLS):
            start = time.perf_counter()
            self.call()
            times.append(time.perf_counter() - start)
        return statistics.median(times) * 1000


def errors_in_parallel(url: str) -> int:
    """How many of 500 calls at once, each on a connection of its own, fail."""
    barrier = threading.Barrier(PARALLEL)

    def call(_: int) -> bool:
        client = Client(url)
        barrier.wait(60)
        try:
            client.call()
        except (OSError, AssertionError, http.client.HTTPException):
            return False
        finally:
            client.connection.close()
        return True

    with ThreadPoolExecutor(PARALLEL) as pool:
        return PARALLEL - sum(pool.map(call, range(PARALLEL)))


def run() -> Result:
    """Compare medians, and count errors under load."""
    with emulator_process() as url:
        ours = Client(url)
        answer = ours.call()
        with bare_process(answer) as bare_url:
            bare = Client(bare_url)
            ours.p50_ms(), bare.p50_ms()
            result = compare(ours.p50_ms, bare.p50_ms, rounds=ROUNDS)
            bare.connection.close()
        ours.connection.close()
        errors = errors_in_parallel(url)
    return Result(
        benchmark="emulator_http",
        figures={
            "Converse p50 / bare server's, ratio": result.ratio,
            "Converse p50, ms": result.ours,
            "errors in 500 calls at once": errors,
        },
        baselines={"bare server p50, ms": result.baseline},
        goals={
            "Converse p50 / bare server's, ratio": ("<=", 2),
            "errors in 500 calls at once": ("<=", 0),
        },
    )
