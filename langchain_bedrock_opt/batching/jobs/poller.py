"""Waiting for jobs: one poller for each client in a process, one List for all who wait.

Waits between looks grow with the time that a job has taken, so one of minutes is seen to end
within seconds, and one of a day costs some 900 calls, whether it is one shard or a hundred.
Errors never end a wait: a job goes on whether or not we can see it.
"""

from __future__ import annotations

import logging
import random as random_module
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta, timezone
from itertools import takewhile
from typing import Any, Final, TypeAlias
from weakref import WeakValueDictionary

from langchain_bedrock_opt.aws.errors import BOTOCORE_ERRORS, BotocoreError
from langchain_bedrock_opt.aws.trouble import error_code, said, trouble_of
from langchain_bedrock_opt.batching.jobs.pace import LONGEST_IN_TROUBLE, pause_before_look
from langchain_bedrock_opt.batching.jobs.states import JobState, get_job, list_jobs
from langchain_bedrock_opt.batching.parts import Services
from langchain_bedrock_opt.catalog.batch_limits import PASSING, TIMEOUT_HOURS
from langchain_bedrock_opt.errors import BatchJobError
from langchain_bedrock_opt.forks import when_forked

_logger: Final = logging.getLogger(__name__)

States: TypeAlias = Mapping[str, JobState]
"""Jobs by ARN, as they were last seen. One that was not seen yet is not in it."""

_LIST_REFUSED: Final = "list refused"
_NOT_FOUND: Final = "ResourceNotFoundException"
# Waits get shorter by up to this share, never longer: how late an end is seen has a limit.
_JITTER: Final = 0.02
# Threads that begin to wait one after the other don't each look at once.
_BETWEEN_LOOKS: Final = 1.0
# "After" may leave out the moment itself.
_OVERLAP: Final = timedelta(minutes=1)
_GRACE: Final = timedelta(hours=1)
# A Get may lag behind a Create by some seconds.
_MAY_BE_UNKNOWN: Final = 300.0
_MOST_REMEMBERED: Final = 1000


class JobPoller:
    """Looks after jobs for all threads that wait for them.

    Args:
        bedrock: A boto3 client of `bedrock`.
        clock: Seconds since 1970.
        sleep: Waits for so many seconds.
        random: Numbers from 0 to 1, by which waits differ.
    """

    def __init__(
        self,
        bedrock: Any,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], object],
        random: Callable[[], float] = random_module.random,
    ) -> None:
        self._bedrock = bedrock
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._begin_anew()
        when_forked(self)

    @classmethod
    def of(cls, services: Services) -> JobPoller:
        """The poller of this process for a client, for as long as somebody holds it.

        Args:
            services: The control plane's client, clock and sleep.
        """
        # The id is not used again while the poller is there, since that holds the client.
        key = (id(services.bedrock), services.clock, services.sleep)
        with _registry_lock:
            poller = _pollers.get(key)
            if poller is None:
                poller = cls(services.bedrock, clock=services.clock, sleep=services.sleep)
                _pollers[key] = poller
            return poller

    def after_fork(self) -> None:
        """In a forked process: nobody waits, and no lock is held."""
        global _registry_lock  # noqa: PLW0603 - a thread of the parent's may hold it
        _registry_lock = threading.Lock()
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._lock = threading.Lock()
        self._waiting: Counter[str] = Counter()
        self._seen: dict[str, JobState] = {}
        self._began: dict[str, float] = {}
        self._not_found: dict[str, float] = {}
        self._failures = 0
        self._said: set[str] = set()
        self._troubles: set[str] = set()
        self._last_look = self._next_look = float("-inf")

    def wait(
        self,
        arns: Iterable[str],
        *,
        until: Callable[[States], bool] | None = None,
        timeout: float | None = None,
    ) -> dict[str, JobState]:
        """Wait for jobs.

        Args:
            arns: The jobs.
            until: Called after each look with what is known of them; ends the wait by returning
                True. The wait also ends when all of them are over.
            timeout: Seconds after which it ends in any case. None: no limit.

        Returns:
            What is known of the jobs.

        Raises:
            BatchJobError: There is no such job, or nothing was to be learned of one until an
                hour after it must have ended.
        """
        wanted = tuple(dict.fromkeys(arns))
        end = None if timeout is None else self._clock() + timeout
        self._begin(wanted)
        try:
            while True:
                states = self._look_if_due(wanted)
                is_over = len(states) == len(wanted) and all(
                    state.is_over for state in states.values()
                )
                if (until is not None and until(states)) or is_over:
                    return states
                self._give_up_on_the_lost(wanted)
                now = self._clock()
                if end is not None and now >= end:
                    return states
                wake = self._next_look if end is None else min(self._next_look, end)
                self._sleep(min(max(0.0, wake - now), LONGEST_IN_TROUBLE))
        finally:
            self._leave(wanted)

    def _begin(self, wanted: Collection[str]) -> None:
        with self._lock:
            now = self._clock()
            self._waiting.update(wanted)
            for arn in wanted:
                self._began.setdefault(arn, now)
            # Who comes back after hours, beside one who still waits, gets no state of hours ago.
            if not all(map(self._is_over, wanted)):
                self._next_look = min(self._next_look, self._last_look + _BETWEEN_LOOKS)

    def _leave(self, wanted: Collection[str]) -> None:
        with self._lock:
            self._waiting.subtract(wanted)
            self._waiting = +self._waiting
            # Kept for who asks again; a process that makes jobs for weeks forgets the old ones.
            if len(self._seen) > _MOST_REMEMBERED:
                self._seen = {arn: self._seen[arn] for arn in self._waiting if arn in self._seen}
            for arn in wanted:
                if arn not in self._waiting:
                    self._began.pop(arn, None)
                    self._not_found.pop(arn, None)

    def _look_if_due(self, wanted: Collection[str]) -> dict[str, JobState]:
        # Whoever comes first looks, for all; the others wait here for what was seen.
        with self._lock:
            # A look that is further off than any may be was planned before the clock was put back.
            if not 0 < self._next_look - self._clock() <= LONGEST_IN_TROUBLE:
                self._look()
            return {arn: self._seen[arn] for arn in wanted if arn in self._seen}

    def _look(self) -> None:
        live = [arn for arn in self._waiting if not self._is_over(arn)]
        try:
            self._look_at(live)
        except BOTOCORE_ERRORS as error:
            self._failures += 1
            self._warn_once(error)
        else:
            self._failures = 0
            self._troubles.clear()
        self._last_look = self._clock()
        jobs = [self._seen[arn] for arn in live if arn in self._seen and not self._is_over(arn)]
        pause = pause_before_look(jobs, self._now(), failures=self._failures)
        self._next_look = self._last_look + pause * (1 - _JITTER * self._random())

    def _look_at(self, live: Collection[str]) -> None:
        """One List, and a Get for each job that it does not have or that has ended."""
        listed = self._list([self._seen[arn] for arn in live if arn in self._seen])
        refusal: BotocoreError | None = None
        for arn in live:
            state = listed.get(arn)
            try:
                if state is None or state.is_over:
                    state = self._get(arn)
            except BOTOCORE_ERRORS as error:
                if trouble_of(error) != "refused":
                    raise
                # It is about this job alone: the others are still looked at.
                refusal = error
            else:
                if state is not None:
                    self._take_down(state)
        if refusal is not None:
            raise refusal

    def _list(self, known: Collection[JobState]) -> dict[str, JobState]:
        if not known:
            return {}
        moments = [state.submitted_at for state in known if state.submitted_at is not None]
        try:
            return {
                state.arn: state
                for state in list_jobs(
                    self._bedrock,
                    name_contains=_common_prefix([state.name for state in known]),
                    since=min(moments) - _OVERLAP if len(moments) == len(known) else None,
                )
            }
        except BOTOCORE_ERRORS as error:
            if trouble_of(error) != "refused":
                raise
            if _LIST_REFUSED not in self._said:
                self._said.add(_LIST_REFUSED)
                _logger.warning(
                    "Jobs can't be listed, so each is asked for by itself: allow "
                    "bedrock:ListModelInvocationJobs (%s).",
                    said(error),
                )
            return {}

    def _get(self, arn: str) -> JobState | None:
        try:
            state = get_job(self._bedrock, arn)
        except BOTOCORE_ERRORS as error:
            if error_code(error) != _NOT_FOUND:
                raise
            self._not_found.setdefault(arn, self._clock())
            return None
        self._not_found.pop(arn, None)
        return state

    def _take_down(self, state: JobState) -> None:
        self._seen[state.arn] = state
        is_known = state.is_over or state.status in PASSING
        if not is_known and state.status not in self._said:
            self._said.add(state.status)
            _logger.warning(
                "Job %s has the status %r, which is not known here: it is waited for.",
                state.arn,
                state.status,
            )

    def _warn_once(self, error: BotocoreError) -> None:
        """Say what is in the way, once until a look has been all right."""
        trouble = trouble_of(error)
        key = f"{trouble} {error_code(error)}"
        if key in self._troubles:
            return
        self._troubles.add(key)
        if trouble == "credentials":
            _logger.warning(
                "The AWS credentials have expired: the jobs go on, and are seen again as soon as "
                "they are renewed (such as by `aws sso login`)."
            )
        else:
            _logger.warning(
                "Jobs can't be looked at just now; they go on, and are waited for: %s (%s).",
                said(error),
                error_code(error) or type(error).__name__,
            )

    def _give_up_on_the_lost(self, wanted: Collection[str]) -> None:
        with self._lock:
            now = self._clock()
            for arn in wanted:
                since = self._not_found.get(arn)
                if since is not None and now - since > _MAY_BE_UNKNOWN:
                    region = self._bedrock.meta.region_name
                    raise BatchJobError(
                        f"There is no job {arn} in {region} for this account: pass a "
                        "bedrock_client of the region and account that made it.",
                        job_arn=arn,
                        code=_NOT_FOUND,
                    )
                if self._failures and not self._is_over(arn) and self._now() > self._last_end(arn):
                    raise BatchJobError(
                        f"Bedrock gives no answer about job {arn}, which must have ended by now: "
                        "check the credentials and the connection, and attach to the run again.",
                        job_arn=arn,
                    )

    def _last_end(self, arn: str) -> datetime:
        """When a job must have ended, for certain."""
        state = self._seen.get(arn)
        if state is not None and state.expires_at is not None:
            return state.expires_at + _GRACE
        began = datetime.fromtimestamp(self._began[arn], timezone.utc)
        return began + timedelta(hours=TIMEOUT_HOURS[1]) + _GRACE

    def _is_over(self, arn: str) -> bool:
        return arn in self._seen and self._seen[arn].is_over

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), timezone.utc)


def _common_prefix(names: Collection[str]) -> str:
    """What all names begin with."""
    # What the first and the last of them in order have in common, all between them have too.
    first, last = min(names), max(names)
    same = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return "".join(letter for letter, _ in same)


_registry_lock = threading.Lock()
_pollers: Final[WeakValueDictionary[tuple[Any, ...], JobPoller]] = WeakValueDictionary()
