"""`BedrockEmulator`: a local Amazon Bedrock, in this process or at a URL."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from typing_extensions import Self

from langchain_bedrock_opt.aws.clients import client_config
from langchain_bedrock_opt.emulator.engine import Engine, Parts
from langchain_bedrock_opt.emulator.faults import FaultPlan
from langchain_bedrock_opt.emulator.http.inprocess import Attachment, attach
from langchain_bedrock_opt.emulator.http.other_services import moto_application
from langchain_bedrock_opt.emulator.http.server import EmulatorServer
from langchain_bedrock_opt.emulator.http.wire import Wire
from langchain_bedrock_opt.emulator.jobs.operations import job_operations
from langchain_bedrock_opt.emulator.jobs.service import JobService
from langchain_bedrock_opt.emulator.jobs.settings import JobSettings
from langchain_bedrock_opt.emulator.journal import Journal
from langchain_bedrock_opt.emulator.models import ModelDirectory
from langchain_bedrock_opt.emulator.quota import Quota, QuotaMeter
from langchain_bedrock_opt.emulator.replies.rules import RuleResponder
from langchain_bedrock_opt.emulator.runtime import OPERATIONS
from langchain_bedrock_opt.emulator.s3_faults import S3FaultPlan
from langchain_bedrock_opt.emulator.throughput.operations import throughput_operations
from langchain_bedrock_opt.emulator.throughput.service import ThroughputService
from langchain_bedrock_opt.emulator.throughput.settings import ThroughputSettings
from langchain_bedrock_opt.emulator.timing import PaceOption, Timing
from langchain_bedrock_opt.emulator.types import HttpRequest, HttpResponse, Responder
from langchain_bedrock_opt.emulator.validation import rule_names
from langchain_bedrock_opt.errors import ConfigurationError

# Any will do; with them nothing on the machine is looked at.
_ACCESS_KEY = "local"
_BEDROCK = ("bedrock", "bedrock-runtime")

_session_lock = threading.Lock()


@cache
def _session(region: str) -> boto3.session.Session:
    """One for all emulators of a region: the first client of a session takes some 100 ms."""
    return boto3.session.Session(_ACCESS_KEY, _ACCESS_KEY, region_name=region)


class BedrockEmulator:
    """A local Amazon Bedrock that speaks the wire, for tests, demos and notebooks.

    In process, `client()` gives real boto3 clients that open no socket. In a `with` block it also
    serves HTTP on loopback, for other processes and other languages, with S3, DynamoDB and
    CloudWatch (moto's) at the same URL.

    Its models do not think: the default responder is deterministic and obeys tools, tool choice,
    JSON schemas, stop sequences and `maxTokens`. Token counts are estimates. What it does where
    nobody has published a recording of the real service is unverified against AWS.

    Args:
        responder: The brain behind all models; `RuleResponder(seed=seed)` by default. See also
            `ScriptedResponder` and `DelegatingResponder`.
        seed: The seed of replies and of the jitter of `pace="models"`.
        pace: How fast models answer: None at once, `"models"` each at its own pace, or seconds.
        speed: How many times faster than life the pace runs.
        quotas: Tokens and requests a minute by model id; models without one are not limited.
        region: The region it plays.
        strict: Accept only models the catalog knows, and only registered ARNs.
        without_rules: Names of validation rules that shall not hold, such as
            `documents_have_plain_names`: Bedrock may drop one before this package does.
        provisioned: Base model ids by the name of a provisioned throughput.
        application_profiles: Ids to copy from by the name of an application inference profile.
        prompt_routers: Model ids by the name of a prompt router, its fallback last. It takes the
            fallback for long prompts; see `models.register_prompt_router`.
        throughput: The clock and the pace of provisioned throughput, and what its model units take
            in a minute.
        jobs: The clock, the pace and the quotas of invocation jobs. They read and write the S3
            that `client("s3")` speaks to.
        host: Where the server listens; only this machine by default.
        port: The server's port; 0 takes any that is free.
        sleep: Waits for so many seconds.
        clock: Seconds that only go forward.

    Raises:
        ConfigurationError: The pace, the speed or a rule's name is none.

    Attributes:
        faults: Faults to come: `emulator.faults.add(Fault(code="ThrottlingException", times=2))`.
        journal: What was asked: `emulator.journal.count("Converse")`.
        quota: What is left of the quotas.
        throughput: The provisioned throughputs: `emulator.throughput.list()`,
            `emulator.throughput.faults.add(…)`.
        jobs: The invocation jobs: `emulator.jobs.list()`, `emulator.jobs.faults.add(…)`.
        s3_faults: Faults of S3 to come: `emulator.s3_faults.add(S3Fault(code="SlowDown"))`.
        models: The models and resources it knows; `models.register_provisioned(…)` and others.

    Example:
        >>> bedrock = BedrockEmulator().client()
        >>> answer = bedrock.converse(
        ...     modelId="amazon.nova-lite-v1:0",
        ...     messages=[{"role": "user", "content": [{"text": "Hello!"}]}],
        ... )
        >>> answer["stopReason"]
        'end_turn'
    """

    def __init__(
        self,
        *,
        responder: Responder | None = None,
        seed: int = 0,
        pace: PaceOption = None,
        speed: float = 1.0,
        quotas: Mapping[str, Quota] | None = None,
        region: str = "us-east-1",
        strict: bool = False,
        without_rules: Collection[str] = (),
        provisioned: Mapping[str, str] | None = None,
        application_profiles: Mapping[str, str] | None = None,
        prompt_routers: Mapping[str, Sequence[str]] | None = None,
        throughput: ThroughputSettings | None = None,
        jobs: JobSettings | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.region = region
        self.faults = FaultPlan()
        self.journal = Journal()
        self.quota = QuotaMeter(quotas or {}, clock=clock)
        self.models = ModelDirectory(
            region,
            provisioned=provisioned,
            application_profiles=application_profiles,
            prompt_routers=prompt_routers,
            strict=strict,
        )
        self.throughput = ThroughputService(throughput or ThroughputSettings(), self.models)
        timing = Timing(pace, speed=speed, seed=seed, sleep=sleep, clock=clock)
        parts = Parts(
            directory=self.models,
            responder=responder or RuleResponder(seed=seed),
            quota=self.quota,
            units=self.throughput.units,
            faults=self.faults,
            journal=self.journal,
            timing=timing,
            wire=Wire(),
            without_rules=_checked_rules(without_rules),
        )
        self.jobs = JobService(jobs or JobSettings(), parts, self._jobs_s3)
        control = {**job_operations(self.jobs), **throughput_operations(self.throughput)}
        self._engine = Engine(parts, {**OPERATIONS, **control})
        self.s3_faults = S3FaultPlan(timing.wait)
        self._server = EmulatorServer(self.handle, host=host, port=port, gate=self._gate)
        self._is_serving = False

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one HTTP request: what both the server and the clients in process call."""
        return self._engine.handle(request)

    def client(self, service: str = "bedrock-runtime", *, config: Config | None = None) -> Any:
        """A boto3 client that speaks to this emulator and to nothing else.

        While the emulator serves HTTP the client uses that; otherwise no socket is opened.

        Args:
            service: `bedrock-runtime`, `bedrock`, or a service of moto's such as `s3`.
            config: A botocore config of the caller's own.

        Raises:
            MissingExtraError: The service is moto's, and moto is not installed.
        """
        if self._is_serving:
            return self._new_client(service, config, endpoint_url=self.endpoint_url)
        client = self._new_client(service, config)
        self.attach(client, other_services=service not in _BEDROCK)
        return client

    def attach(self, target: Any, *, other_services: bool = False) -> Attachment:
        """Have an existing boto3 client or session answered here, without a socket.

        Args:
            target: A boto3 client, or a session for all clients made from it afterwards.
            other_services: Answer S3, DynamoDB, CloudWatch and the like, too.

        Returns:
            The attachment; `detach()` undoes it.

        Raises:
            MissingExtraError: `other_services`, and moto is not installed.
        """
        application = moto_application() if other_services else None
        return attach(target, self.handle, other_services=application, gate=self._gate)

    @property
    def endpoint_url(self) -> str:
        """The URL it is served at.

        Raises:
            EmulatorError: It is not being served.
        """
        return self._server.url

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that send any AWS SDK of another process here."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": _ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": _ACCESS_KEY,
        }

    def start(self) -> Self:
        """Serve HTTP, in threads of its own.

        Raises:
            PortInUseError: The port is taken.
        """
        self._server.start()
        self._is_serving = True
        return self

    def stop(self) -> None:
        """Stop serving. Does nothing if it is not being served."""
        self._is_serving = False
        self._server.stop()

    def __enter__(self) -> Self:
        """Serve HTTP."""
        return self.start()

    def __exit__(self, *_exception: object) -> None:
        """Stop serving."""
        self.stop()

    def _new_client(
        self, service: str, config: Config | None = None, *, endpoint_url: str | None = None
    ) -> Any:
        config = client_config(base=config).merge(Config(signature_version=_signature(service)))
        with _session_lock:  # boto3 sessions are not thread-safe
            make_client: Any = _session(self.region).client
            return make_client(service, endpoint_url=endpoint_url, config=config)

    def _gate(
        self, request: HttpRequest, answer: Callable[[HttpRequest], HttpResponse]
    ) -> HttpResponse:
        """What requests for S3 and the like go through; those of jobs do not."""
        self.jobs.settle_outputs()
        return self.s3_faults.answer(request, answer)

    def _jobs_s3(self) -> Any:
        """The S3 client of invocation jobs: in process, whether HTTP is served or not."""
        client = self._new_client("s3")
        attach(client, self.handle, other_services=moto_application())
        return client


def _checked_rules(names: Collection[str]) -> frozenset[str]:
    if unknown := sorted(set(names) - rule_names()):
        raise ConfigurationError(
            f"without_rules names {', '.join(unknown)}: the rules are "
            f"{', '.join(sorted(rule_names()))}."
        )
    return frozenset(names)


def _signature(service: str) -> str:
    """Plain signatures: an API key in the environment would otherwise demand HTTPS."""
    return "s3v4" if service == "s3" else "v4"
