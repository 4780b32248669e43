"""How a run begins: `submit`, and `attach` to one that goes on elsewhere."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any, Final, cast

from langchain_bedrock_opt.aws.clients import service_client
from langchain_bedrock_opt.batching.jobs.folder import S3Folder
from langchain_bedrock_opt.batching.jobs.names import checked_run_id
from langchain_bedrock_opt.batching.jobs.preflight import check_bucket
from langchain_bedrock_opt.batching.parts import (
    BatchSettings,
    Entry,
    Outcome,
    Program,
    Services,
)
from langchain_bedrock_opt.batching.run.context import Context
from langchain_bedrock_opt.batching.run.pricing import TokenEstimate
from langchain_bedrock_opt.batching.run.sharding import Limits
from langchain_bedrock_opt.batching.run.state import RUN, RunState, checked
from langchain_bedrock_opt.catalog.price_book import PriceBook, default_prices
from langchain_bedrock_opt.errors import (
    BatchError,
    BatchStorageError,
    ConfigurationError,
    InputsChangedError,
)

# Jobs are made anew from records that are cut and uploaded, and these are not cut again. All else
# holds from the moment on at which it is passed.
_CUT_BY: Final = ("min_records", "max_records", "max_file_bytes", "below_minimum")


def begun(
    program: Program,
    settings: BatchSettings,
    services: Services,
    *,
    run_id: str | None = None,
    prices: PriceBook | None = None,
    estimate: TokenEstimate | None = None,
) -> Context:
    """A run that is there, or will be as soon as something is sent. No input was taken yet.

    Args:
        program: What the run asks.
        settings: How jobs are made from now on.
        services: The clients.
        run_id: The run's name; a random one if None.
        prices: What tokens cost.
        estimate: How many tokens a record has.

    Raises:
        ConfigurationError: The settings or the run id can't be, or the run's records are cut by
            others.
        InputsChangedError: The run was begun with another chain.
        BatchStorageError: S3 refuses something.
    """
    run_id = checked_run_id(run_id or f"run-{uuid.uuid4().hex[:16]}")
    Limits.of(settings)
    folder = _folder(services, settings.s3_uri, settings).child("runs").child(run_id)
    check_bucket(folder, services.bedrock)
    state = RunState(
        run_id=run_id,
        fingerprint=program.fingerprint,
        stages=program.stages,
        settings=settings,
        created_at=datetime.fromtimestamp(services.clock(), timezone.utc).isoformat(),
    )
    declaration = _Declaration(folder, state, program)
    declaration.check()
    context = _context(folder, state, program, services, prices=prices, estimate=estimate)
    context.declare = declaration
    return context


def attached(
    uri: str, program: Program | None, services: Services, prices: PriceBook | None = None
) -> Context:
    """A run that is there.

    Args:
        uri: Its URI.
        program: What it asks; None gives the models' messages.
        services: The clients.
        prices: What tokens cost.

    Raises:
        InputsChangedError: It was begun with another chain.
        BatchStorageError: There is no run at this URI, or S3 refuses.
    """
    folder = S3Folder(services.s3, uri, sleep=services.sleep)
    state = _known(folder, program)
    if state is None:
        raise BatchStorageError(
            f"There is no run at {folder.uri}: pass the URI that BatchRun.uri gives, such as "
            "'s3://bucket/prefix/runs/nightly-2026-11-22/'."
        )
    folder = _folder(services, uri, state.settings)
    return _context(folder, state, program or _Messages(state), services, prices=prices)


def services_of(
    bedrock_client: Any, s3_client: Any, client: Any, own: Services | None = None
) -> Services:
    """The clients that a user gives; the others are the chain's, or made by boto3's own rules.

    Args:
        bedrock_client: A boto3 client of `bedrock`.
        s3_client: A boto3 client of `s3`.
        client: A boto3 client of `bedrock-runtime`; none is made.
        own: What the run's chain has of its own, if it is at hand.
    """
    if own is None:
        return Services(
            bedrock=bedrock_client or service_client("bedrock"),
            s3=s3_client or service_client("s3"),
            direct=_direct(client),
        )
    return replace(
        own,
        bedrock=bedrock_client or own.bedrock,
        s3=s3_client or own.s3,
        direct=own.direct if client is None else _direct(client),
    )


def _folder(services: Services, uri: str, settings: BatchSettings) -> S3Folder:
    return S3Folder(
        services.s3,
        uri,
        bucket_owner=settings.bucket_owner,
        kms_key_id=settings.kms_key_id,
        sleep=services.sleep,
    )


class _Declaration:
    """Writes `run.json`, once something is about to be sent.

    Args:
        folder: The run's folder.
        state: The run, as the user asks for it now.
        program: What it asks.
    """

    def __init__(self, folder: S3Folder, state: RunState, program: Program) -> None:
        self._folder = folder
        self._state = state
        self._program = program
        self._is_done = False

    def check(self) -> RunState | None:
        """The run that is there, if there is one and this may go on with it.

        Raises:
            ConfigurationError: Its records are cut by other settings.
            InputsChangedError: It was begun with another chain.
        """
        known = _known(self._folder, self._program)
        if known is not None:
            _check_cut(known, self._state.settings)
        return known

    def __call__(self) -> None:
        """Write the run down, or what is set otherwise than before."""
        if self._is_done:
            return
        state = self._state
        if not self._folder.put_json(RUN, state.as_dict(), if_absent=True):
            known = self.check()
            if known is not None and known.settings != state.settings:
                changed = replace(known, settings=state.settings)
                self._folder.put_json(RUN, changed.as_dict())
        self._is_done = True


def _check_cut(state: RunState, settings: BatchSettings) -> None:
    """Refuse settings by which the records of a run would be cut otherwise than they are."""
    pairs = [(name, getattr(state.settings, name), getattr(settings, name)) for name in _CUT_BY]
    differing = [pair for pair in pairs if pair[1] != pair[2]]
    if differing:
        was = ", ".join(f"{name}={was!r}" for name, was, _ in differing)
        now = ", ".join(f"{name}={now!r}" for name, _, now in differing)
        raise ConfigurationError(
            f"Run {state.run_id!r} was sent with {was}, and {now} was passed: how its records are "
            "cut can't be changed any more. Pass what it was, or take another run_id."
        )


def _known(folder: S3Folder, program: Program | None) -> RunState | None:
    """The state of a run; None if there is none."""
    values = folder.get_json(RUN)
    if values is None:
        return None
    state = RunState.from_dict(checked(values, folder.uri_of(RUN)))
    if program is not None and program.fingerprint != state.fingerprint:
        raise InputsChangedError(
            f"Run {state.run_id!r} was begun with another chain (fingerprint "
            f"{state.fingerprint[:12]}, and this one's is {program.fingerprint[:12]}): use the "
            "same chain, or take another run_id."
        )
    return state


def _context(
    folder: S3Folder,
    state: RunState,
    program: Program,
    services: Services,
    *,
    prices: PriceBook | None,
    estimate: TokenEstimate | None = None,
) -> Context:
    if estimate is None:
        from langchain_bedrock_opt.batching.records.estimates import estimate as by_text

        estimate = by_text
    return Context(
        folder=folder,
        run_id=state.run_id,
        program=program,
        settings=state.settings,
        services=services,
        prices=prices or default_prices(),
        estimate=estimate,
    )


def _direct(client: Any) -> Any:
    if client is None:
        return None
    from langchain_aws import ChatBedrockConverse

    from langchain_bedrock_opt.batching.records.direct import direct_for

    return direct_for(cast("ChatBedrockConverse", SimpleNamespace(client=client)))


class _Messages:
    """What stands for a chain that is not at hand: answers are the models' messages."""

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._readers: dict[str, Any] = {}

    @property
    def fingerprint(self) -> str:
        """That of the chain."""
        return self._state.fingerprint

    @property
    def stages(self) -> int:
        """How many the chain has."""
        return self._state.stages

    def entries(
        self,
        stage: int,
        items: Iterable[tuple[int, Any]],  # noqa: ARG002 - as `Program` has it
    ) -> Iterator[Entry]:
        """Only the chain can tell."""
        raise BatchError(
            f"Stage {stage} of run {self._state.run_id!r} needs the chain: attach with chain=."
        )

    def result(self, stage: int, outcome: Outcome) -> Any:  # noqa: ARG002 - as `Program` has it
        """The message of an answer."""
        from langchain_bedrock_opt.batching.records.reader import Reader

        if outcome.error is not None:
            raise outcome.error
        if outcome.output is None or outcome.kind is None:
            return outcome.message
        model_id = outcome.kind.model_id
        if model_id not in self._readers:
            self._readers[model_id] = Reader.for_model_id(model_id)
        return self._readers[model_id].message(
            outcome.kind, outcome.output, job_arn=outcome.job_arn
        )
