"""DynamoDB for tests: Amazon's own server, moto's, and a client some of whose calls go wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from tests.servers import free_port, wait_for

ROOT = Path(__file__).resolve().parent.parent
DYNAMODB_LOCAL = Path(
    os.environ.get("BEDROCK_OPT_DYNAMODB_LOCAL", ROOT / ".servers" / "dynamodb-local")
)


@pytest.fixture(scope="session")
def dynamodb_local() -> Iterator[str]:
    """The URL of Amazon's own DynamoDB for tests, in memory."""
    java = shutil.which("java")
    if java is None or not (DYNAMODB_LOCAL / "DynamoDBLocal.jar").is_file():
        pytest.skip("DynamoDB Local is not here: `make servers` installs it, and it needs Java")
    port = free_port()
    libraries = f"-Djava.library.path={DYNAMODB_LOCAL / 'DynamoDBLocal_lib'}"
    options = ["-inMemory", "-sharedDb", "-port", str(port)]
    process = subprocess.Popen(
        [java, libraries, "-jar", "DynamoDBLocal.jar", *options],
        cwd=DYNAMODB_LOCAL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


class OneAtATime:
    """A client whose calls are made one after the other, from whichever thread."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if not callable(method):
            return method

        def call(**request: Any) -> Any:
            with self._lock:
                return method(**request)

        return call


@pytest.fixture(scope="session")
def dummy_session() -> boto3.Session:
    """A session with dummy credentials; its second client of a service takes a moment only."""
    return boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing")


@pytest.fixture
def moto_dynamodb(aws_environment: None, dummy_session: boto3.Session) -> Iterator[Any]:
    """A client of moto's DynamoDB, which does conditional writes in two steps of its own."""
    with mock_aws():
        yield OneAtATime(dummy_session.client("dynamodb", region_name="us-east-1"))


class FaultyClient:
    """Passes calls on, and for each operation first gives what was planned for it.

    A plan is an exception to raise, or a function of the request and the real method that gives
    the response. `calls` holds what was asked, in order.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self.plans: dict[str, list[Any]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def plan(self, operation: str, *plans: Any) -> None:
        self.plans.setdefault(operation, []).extend(plans)

    def requests(self, operation: str) -> list[dict[str, Any]]:
        return [request for name, request in self.calls if name == operation]

    def __getattr__(self, operation: str) -> Any:
        method = getattr(self._client, operation)
        if not callable(method):
            return method

        def call(**request: Any) -> Any:
            self.calls.append((operation, request))
            if plans := self.plans.get(operation):
                plan = plans.pop(0)
                if isinstance(plan, BaseException):
                    raise plan
                return plan(request, method)
            return method(**request)

        return call


def error(code: str, operation: str = "GetItem", message: str = "said so") -> ClientError:
    """What boto3 raises where DynamoDB answers with an error."""
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


def twice(request: dict[str, Any], method: Callable[..., Any]) -> Any:
    """A request whose first answer is lost on the way, so that botocore sends it again."""
    method(**request)
    return method(**request)


@pytest.fixture
def faulty_dynamodb(moto_dynamodb: Any) -> FaultyClient:
    """A client of moto's DynamoDB for which faults can be planned."""
    return FaultyClient(moto_dynamodb)


def patient_client(url: str) -> Any:
    """A client of DynamoDB Local: one Java process on a busy machine may take its time."""
    from langchain_bedrock_opt.aws.clients import client_config, service_client

    config = client_config(max_concurrency=64, timeout=60.0)
    return service_client("dynamodb", region_name="us-east-1", endpoint_url=url, config=config)
