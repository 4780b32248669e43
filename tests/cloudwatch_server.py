"""A CloudWatch for tests at a URL: takes PutMetricData as boto3 sends it, and fails as told."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from langchain_bedrock_opt.usage.cloudwatch.limits import check_request

Fault = Callable[[], str]
"""Says what happens to the next request: `ok`, `throttle`, `refuse`, `lose` (closes the connection
before the request is taken), `swallow` (takes it and closes the connection without an answer)."""


class CloudWatchServer:
    """Counts what arrived, once for each request that it took."""

    def __init__(self) -> None:
        self.sums: Counter[str] = Counter()
        self.samples: Counter[str] = Counter()
        self.requests = 0
        self.largest_body = 0
        self.fault: Fault = lambda: "ok"
        self.refused: set[str] = set()
        self.arrived = threading.Event()
        self.url = ""
        self._lock = threading.Lock()

    def take(self, body: bytes) -> str:
        """Take one request's body, and say what is to happen."""
        with self._lock:
            fault = self.fault()
            request = json.loads(body)
            data = request["MetricData"]
            self.requests += 1
            self.largest_body = max(self.largest_body, len(body))
            if self.refused & {datum["MetricName"] for datum in data}:
                return "refuse"
            if fault in {"ok", "swallow"}:
                check_request(request["Namespace"], [_untimed(datum) for datum in data])
                for datum in data:
                    self._count(datum)
                self.arrived.set()
            return fault

    def _count(self, datum: dict[str, Any]) -> None:
        # Series by model are counted apart from those over all models.
        names = [dimension["Name"] for dimension in datum.get("Dimensions", ())]
        key = "/".join([datum["MetricName"], *names])
        if "StatisticValues" in datum:
            self.sums[key] += datum["StatisticValues"]["Sum"]
            self.samples[key] += int(datum["StatisticValues"]["SampleCount"])
            return
        values = datum.get("Values") or [datum["Value"]]
        counts = datum.get("Counts") or [1] * len(values)
        for value, count in zip(values, counts, strict=True):
            self.sums[key] += value * count
            self.samples[key] += int(count)

    def wait_for(self, key: str, total: int, seconds: float = 10.0) -> None:
        """Wait until a sum has arrived."""
        deadline = time.monotonic() + seconds
        while self.sums[key] < total and time.monotonic() < deadline:
            time.sleep(0.01)


def _untimed(datum: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in datum.items() if name != "Timestamp"}


@contextmanager
def serve() -> Iterator[CloudWatchServer]:
    """Serve it on loopback."""
    server = CloudWatchServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            fault = server.take(body)
            if fault in {"lose", "swallow"}:
                self.close_connection = True
                return
            code = {"throttle": "Throttling", "refuse": "InvalidParameterValue"}.get(fault)
            answer = json.dumps({} if code is None else {"__type": code, "message": fault})
            self.send_response(200 if code is None else 400)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
