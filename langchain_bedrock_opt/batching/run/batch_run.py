"""`BatchRun`: what a user holds of a run, in the process that began it or in any other."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager, suppress
from os.path import commonprefix
from threading import Event, Lock
from typing import Any, Final

from langchain_bedrock_opt.batching.jobs.poller import States
from langchain_bedrock_opt.batching.jobs.states import JobState
from langchain_bedrock_opt.batching.parts import (
    BatchResult,
    BatchSettings,
    Order,
    Program,
    Services,
)
from langchain_bedrock_opt.batching.run.cancelling import cancel, cancelled_endings
from langchain_bedrock_opt.batching.run.context import Context
from langchain_bedrock_opt.batching.run.driving import Driver, OutOfTimeError, create_missing
from langchain_bedrock_opt.batching.run.failures import in_order, is_unread, partial_error
from langchain_bedrock_opt.batching.run.notes import Note
from langchain_bedrock_opt.batching.run.pricing import TokenEstimate
from langchain_bedrock_opt.batching.run.progress import Progress, display_for
from langchain_bedrock_opt.batching.run.reading import Ending, StageReader
from langchain_bedrock_opt.batching.run.sending import job_request
from langchain_bedrock_opt.batching.run.stage import Part, Stage
from langchain_bedrock_opt.batching.run.starting import attached, begun, services_of
from langchain_bedrock_opt.batching.run.status import (
    BatchStatus,
    StageStatus,
    shard_status,
    time_left,
)
from langchain_bedrock_opt.batching.run.submitting import submit_stage
from langchain_bedrock_opt.batching.run.summary import BatchSummary, summary_of
from langchain_bedrock_opt.batching.run.tally import Tally
from langchain_bedrock_opt.batching.run.threads import in_thread, iterate_in_thread
from langchain_bedrock_opt.catalog.price_book import PriceBook
from langchain_bedrock_opt.errors import (
    BatchError,
    BatchIntegrityError,
    BatchPartialError,
    BatchStorageError,
    BedrockOptError,
    RecordNotProcessedError,
)

_logger: Final = logging.getLogger(__name__)


def submit(
    program: Program,
    inputs: Iterable[Any],
    settings: BatchSettings,
    services: Services,
    *,
    run_id: str | None = None,
    prices: PriceBook | None = None,
    estimate: TokenEstimate | None = None,
) -> BatchRun:
    """Begin a run, or go on with one: its records are uploaded and its jobs created.

    Memory does not grow with the inputs. It may be called again with the same inputs and run id
    after it was interrupted, also in another process: no record is sent twice. Settings hold from
    the moment on at which they are passed; those by which records are cut can't be changed once
    something was sent.

    Args:
        program: What the run asks, and what it makes of answers.
        inputs: The inputs, in any iterable.
        settings: How jobs are made.
        services: The clients.
        run_id: The run's name in S3 and in its jobs; a random one if None.
        prices: What tokens cost.
        estimate: How many tokens a record has, for `max_cost_usd`.

    Returns:
        The run. Nothing was waited for; jobs that had no free slot are created by `wait`.

    Raises:
        ConfigurationError: The settings or the run id can't be, or the run's records are cut by
            others.
        InputsChangedError: The run was begun with other inputs, or another chain.
        BatchTooSmallError: The inputs are too few for a job, and nothing else is allowed.
        BatchCostError: The run could cost more than it may.
        BatchJobError: Bedrock refuses a job.
        BatchStorageError: S3 refuses something.
    """
    context = begun(program, settings, services, run_id=run_id, prices=prices, estimate=estimate)
    run = BatchRun(context)
    _logger.info("Run %s: %r", run.run_id, run)
    again = f"submit it again with run_id={run.run_id!r} and the same inputs, or stop them with"
    with run._telling(again, ".cancel()"):  # noqa: SLF001 - of this module
        if submit_stage(context, 0, enumerate(inputs)):
            create_missing(context)
    return run


class BatchRun:
    """One run of invocation jobs, from submission to results.

    It is made by `submit` and by `BatchRun.attach`. Its state is in S3: the process may end at
    any point, and another one may go on. Results of jobs are read from S3 each time.

    Args:
        context: The run.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = Lock()
        self._is_over = False
        self._trouble: Exception | None = None
        self._tallies: dict[int, Tally] = {}

    @classmethod
    def attach(
        cls,
        uri: str,
        *,
        chain: Any = None,
        program: Program | None = None,
        services: Services | None = None,
        bedrock_client: Any = None,
        s3_client: Any = None,
        client: Any = None,
        prices: PriceBook | None = None,
    ) -> BatchRun:
        """A run that was submitted before, by this process or another one.

        Args:
            uri: The run's URI, as `uri` gives it.
            chain: The chain that was submitted. Without, results are the models' messages.
            program: What `chain` stands for, where that is at hand.
            services: The clients, instead of the three that follow.
            bedrock_client: A boto3 client of `bedrock`; the chain's, or without a chain one made
                by boto3's own rules, if None.
            s3_client: A boto3 client of `s3`; likewise.
            client: A boto3 client of `bedrock-runtime`, for records that are answered by single
                calls. Without, they wait for a process that has one.
            prices: What tokens cost.

        Raises:
            InputsChangedError: The chain is another one than was submitted.
            BatchStorageError: There is no run at this URI, or S3 refuses.
        """
        own = None
        if chain is not None:
            from langchain_bedrock_opt.batching.chains import program_of, services_for

            program, own = program or program_of(chain), services_for(chain)
        services = services or services_of(bedrock_client, s3_client, client, own)
        return cls(attached(uri, program, services, prices))

    @classmethod
    async def aattach(cls, uri: str, **options: Any) -> BatchRun:
        """`attach`, without holding up the event loop."""
        return await in_thread(lambda: cls.attach(uri, **options))

    @property
    def uri(self) -> str:
        """Where its state lies: what `attach` takes."""
        return self._context.folder.uri

    @property
    def run_id(self) -> str:
        """Its id."""
        return self._context.run_id

    def status(self) -> BatchStatus:
        """How far it is. Asks S3 for its state, and Bedrock once for all jobs.

        Raises:
            BatchStorageError: S3 refuses.
            BatchJobError: Bedrock refuses, or gave no answer for minutes.
        """
        stages = [(stage, stage.parts()) for stage in self._begun()]
        live = {part.arn for _, parts in stages for part in parts if part.arn and not part.end}
        states: dict[str, JobState] = {}
        if live:
            names = [
                job_request(self._context, stage, part.shard).name
                for stage, parts in stages
                for part in parts
                if part.arn in live
            ]
            listed = self._context.control.list(commonprefix(names))  # noqa: RUF071 - no paths
            states = {state.arn: state for state in listed if state.arn in live}
            states |= {arn: self._context.control.get(arn) for arn in live - states.keys() if arn}
        return self._status(stages, states)

    def wait(
        self,
        *,
        progress: Progress = False,
        timeout: float | None = None,
        stopped: Event | None = None,
    ) -> BatchRun:
        """Wait until nothing is left to be done: queued jobs, retries, later stages.

        Several processes may wait for a run at once. On Ctrl-C the jobs go on, and how to attach
        to the run is printed; with `cancel_on_interrupt` they are stopped.

        What Bedrock refuses just now (a job, or a single call) does not keep the rest from being
        read: it is warned of, such records have that error as their result, and the next `wait`
        tries them again.

        Args:
            progress: True for a bar on stderr (with `rich`, else lines), or a callable that is
                given a `BatchStatus` after each look.
            timeout: Seconds to wait at most.
            stopped: Set by another thread to have the wait end at its next look.

        Returns:
            This run.

        Raises:
            TimeoutError: The time is over, or the wait was stopped; the run goes on.
            BatchError: The run can't be gone on with here; what is done is kept.
            BedrockServiceError: Likewise: single calls that a later stage needs are refused.
        """
        return self._wait(progress, timeout, stopped=stopped or Event())

    def results(self, order: Order = "input") -> Iterator[BatchResult]:
        """The result of each input, once the run is over. It is waited for if need be.

        Memory does not grow with the run. A record's failure is in its result, never raised.

        Args:
            order: `input`, or `any`: as they are read, which needs no temporary files.

        Raises:
            BatchStorageError: S3 refuses, or the disk is full.
        """
        if not self._is_over:
            self.wait()
        *_, stage = self._begun()
        tally = Tally(self._context.tariff)
        for ending in self._endings(stage, tally, order):
            yield self._result(stage, ending)
        self._tallies[stage.number] = tally

    def outputs(self) -> list[Any]:
        """All outputs in the order of the inputs.

        Raises:
            BatchPartialError: Some inputs have no output. All results are in it.
            BatchIntegrityError: Answers that a job counts can't be read. All results are in it.
        """
        results = in_order(self.results(), self.uri)
        values = [result.output if result.error is None else result.error for result in results]
        failed = [result for result in results if result.error is not None]
        # What was lost the first time may have come the second time.
        lost = sum(tally.counts.lost for tally in self._tallies.values())
        lost = min(lost, sum(is_unread(result.error) for result in failed))
        if lost:
            raise BatchIntegrityError(
                f"{lost} answers that jobs count can't be read, and {len(failed)} of "
                f"{len(values)} inputs have no output: look at the output in {self.uri}. "
                "error.results has all that there is.",
                values,
                self.uri,
            )
        if self._context.stage(0).plan() is None:
            raise BatchPartialError(
                f"The run was cancelled before all of its inputs were taken: {len(values)} were, "
                f"and {len(failed)} of them have no output. error.results has what there is.",
                values,
                self.uri,
            )
        failure = partial_error(values, self.uri)
        if failure is not None:
            raise failure
        return values

    def summary(self) -> BatchSummary:
        """What the run came to. Reads all answers if they were not read to the end before.

        Raises:
            BatchStorageError: S3 refuses.
        """
        if not self._is_over:
            self.wait()
        begun = list(self._begun())
        tallies = []
        for stage in begun:
            tally = self._tallies.get(stage.number)
            if tally is None:
                tally = self._tallies[stage.number] = Tally(self._context.tariff)
                for _ in self._endings(stage, tally, "any"):
                    pass
            tallies.append(tally)
        return summary_of(self.run_id, tallies, [stage.parts() for stage in begun])

    def cancel(self) -> None:
        """Stop the jobs that run and create no more. What was processed can still be read.

        A process that is submitting the run creates no more jobs either, and a run whose inputs
        were not all taken has results from then on.

        Raises:
            BatchStorageError: S3 refuses.
            BatchJobError: Bedrock refuses to stop a job; all others were stopped.
        """
        cancel(self._context)

    async def astatus(self) -> BatchStatus:
        """`status`, without holding up the event loop."""
        return await in_thread(self.status)

    async def await_(self, *, progress: Progress = False, timeout: float | None = None) -> BatchRun:
        """`wait`, without holding up the event loop.

        If the task is cancelled, by Ctrl-C or a time limit, it is said as `interrupted` does.
        """
        stopped = Event()
        try:
            return await in_thread(lambda: self._wait(progress, timeout, stopped=stopped))
        except asyncio.CancelledError:
            stopped.set()
            await in_thread(self.interrupted)
            raise
        finally:
            stopped.set()

    async def aresults(self, order: Order = "input") -> AsyncIterator[BatchResult]:
        """`results`, without holding up the event loop."""
        await self._ended()
        async for result in iterate_in_thread(self.results(order)):
            yield result

    async def aoutputs(self) -> list[Any]:
        """`outputs`, without holding up the event loop."""
        await self._ended()
        return await in_thread(self.outputs)

    async def asummary(self) -> BatchSummary:
        """`summary`, without holding up the event loop."""
        await self._ended()
        return await in_thread(self.summary)

    async def acancel(self) -> None:
        """`cancel`, without holding up the event loop."""
        await in_thread(self.cancel)

    def interrupted(self, advice: str = "come back to them with", then: str = "") -> None:
        """Say on stderr how to come back to the run; with `cancel_on_interrupt` stop its jobs.

        Whoever waits for it calls this on Ctrl-C, or if the waiting task is cancelled. It raises
        nothing that would hide that.

        Args:
            advice: What to do if its jobs go on.
            then: What is to be called on the run.
        """
        if not self._context.settings.cancel_on_interrupt:
            self._print(f"Its jobs go on: {advice}\n  {self!r}{then}")
            return
        self._print(f"Its jobs are being stopped. Read what they have done with\n  {self!r}")
        try:
            self.cancel()
        except BatchError as error:
            self._print(f"Its jobs could not be stopped, and go on: {error}")

    def _print(self, said: str) -> None:
        print(f"\nRun {self.run_id}: {said}", file=sys.stderr)  # noqa: T201 - Ctrl-C

    def __repr__(self) -> str:
        """How to attach to it."""
        return f"BatchRun.attach({self.uri!r})"

    async def _ended(self) -> None:
        if not self._is_over:
            await self.await_()

    def _wait(self, progress: Progress, timeout: float | None, *, stopped: Event) -> BatchRun:
        clock = self._context.services.clock
        deadline = None if timeout is None else clock() + timeout
        out_of_time = TimeoutError(f"{self!r} is not over after {timeout} seconds; it goes on.")
        # Another thread may wait for this run, for days.
        if not self._lock.acquire(timeout=-1 if timeout is None else max(0.0, timeout)):
            raise out_of_time
        try:
            if not self._is_over or self._trouble is not None:
                with self._telling("come back to them with"):
                    self._drive(progress, deadline, stopped)
        except OutOfTimeError:
            raise out_of_time from None
        finally:
            self._lock.release()
        return self

    def _drive(self, progress: Progress, deadline: float | None, stopped: Event) -> None:
        self._is_over = False
        self._tallies.clear()
        display = display_for(progress)
        driver = Driver(
            self._context,
            watch=lambda stage, parts, states: display.show(self._status([(stage, parts)], states)),
            deadline=deadline,
            stopped=stopped,
        )
        try:
            driver.drive()
        finally:
            display.close()
        self._tallies |= driver.tallies
        self._trouble = driver.trouble
        self._is_over = True

    @contextmanager
    def _telling(self, what: str, then: str = "") -> Iterator[None]:
        """Say how to come back to the jobs, if the block ends before they do."""
        try:
            yield
        except OutOfTimeError:
            raise
        except KeyboardInterrupt:
            self.interrupted(what, then)
            raise
        except Exception as error:
            has_jobs = self._has_jobs()
            if has_jobs and isinstance(error, BatchError):
                error.run_uri = self.uri
            if has_jobs and self.uri not in str(error):
                told = f"Run {self.run_id} has jobs that go on: {what} {self!r}{then}."
                if isinstance(error, BedrockOptError):
                    error.args = (f"{error} {told}", *error.args[1:])
                else:
                    _logger.warning("%s", told)
            raise

    def _has_jobs(self) -> bool:
        with suppress(BatchStorageError):  # another error is on its way to the user
            return any(part.arn for stage in self._begun() for part in stage.parts())
        return True

    def _begun(self) -> Iterator[Stage]:
        """The stages that something is known of."""
        for number in range(self._context.program.stages):
            stage = self._context.stage(number)
            if number > 0 and stage.plan() is None and not stage.parts():
                return
            yield stage

    def _status(self, stages: list[tuple[Stage, list[Part]]], states: States) -> BatchStatus:
        shown = tuple(
            StageStatus(
                number=stage.number,
                is_submitted=stage.plan() is not None,
                shards=tuple(shard_status(part, states) for part in parts),
            )
            for stage, parts in stages
        )
        shards = [shard for stage in shown for shard in stage.shards]
        return BatchStatus(
            run_id=self.run_id,
            stages=shown,
            total=sum(shard.records for shard in shards),
            done=sum(shard.done for shard in shards),
            is_over=all(shard.is_over for shard in shards)
            and all(stage.is_submitted for stage in shown),
            eta=time_left(states, self._context.services.clock()),
        )

    def _endings(self, stage: Stage, tally: Tally, order: Order) -> Iterator[Ending]:
        if stage.plan() is None:
            return cancelled_endings(self._context, stage, tally)
        return StageReader(self._context, stage, tally).endings(order)

    def _result(self, stage: Stage, ending: Ending) -> BatchResult:
        """What a user gets of an ending in the last stage that was begun."""
        if isinstance(ending, Note):
            return BatchResult(ending.place, error=ending.error)
        is_last = stage.number == self._context.program.stages - 1
        if ending.error is None and not is_last:
            error = RecordNotProcessedError(
                f"Input {ending.place} was answered in stage {stage.number}, and the run was "
                "cancelled before the stages that follow.",
                index=ending.place,
            )
            return BatchResult(ending.place, error=error)
        try:
            return BatchResult(ending.place, self._context.program.result(stage.number, ending))
        except Exception as error:  # noqa: BLE001 - only this input fails
            return BatchResult(ending.place, error=error)
