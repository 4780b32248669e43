"""How a job goes from one status to the next, when somebody looks."""

from __future__ import annotations

from collections.abc import Callable

from langchain_bedrock_opt.emulator.engine import Parts
from langchain_bedrock_opt.emulator.jobs.checks import checked_input
from langchain_bedrock_opt.emulator.jobs.job import Job
from langchain_bedrock_opt.emulator.jobs.records import RecordRunner
from langchain_bedrock_opt.emulator.jobs.settings import JobSettings
from langchain_bedrock_opt.emulator.jobs.storage import Storage
from langchain_bedrock_opt.emulator.jobs.work import Work
from langchain_bedrock_opt.emulator.types import ServiceFailure


class Lifecycle:
    """Takes jobs through their statuses. The caller holds the job's lock.

    Nothing happens between two looks: the job then does all that was due meanwhile, at the times
    at which it was due.

    Args:
        settings: The jobs' pace and quotas.
        storage: S3.
        parts: What the engine is made of.
    """

    def __init__(self, settings: JobSettings, storage: Storage, parts: Parts) -> None:
        self._settings = settings
        self._storage = storage
        self._parts = parts
        self._leave: dict[str, Callable[[Job, float], None]] = {
            "Submitted": lambda job, at: job.set_status("Validating", at),
            "Validating": self._validate,
            "Scheduled": self._begin,
            "InProgress": self._complete,
            "Stopping": lambda job, at: self._end(job, "Stopped", at),
        }

    def advance(self, job: Job, now: float) -> None:
        """Do all that was due until now.

        Args:
            job: The job.
            now: Seconds since 1970.

        Raises:
            Exception: What a responder raises that is no answer of a model.
        """
        while not job.is_over:
            due = job.since + self._seconds(job)
            if due > job.expires <= now and job.status != "Stopping":
                self._expire(job)
            elif due <= now:
                self._leave[job.status](job, due)
            else:
                break
        if job.status == "InProgress":
            self._run_until(job, now)
            if self._settings.shows_partial_output:
                self._write(job)
        self.settle_output(job, now)

    def settle_output(self, job: Job, now: float) -> None:
        """Write the output of a job that is over when it is due, and delete it in its time."""
        if job.output_due is not None and job.output_due <= now:
            self._write(job)
            job.output_due = None
            self._close(job)
        if job.output_due is None and job.output_ends is not None and job.output_ends <= now:
            job.output_ends = None
            self._storage.delete_folder(job.output_uri)

    def stop(self, job: Job, now: float) -> None:
        """Stop a job that is not over. What it has processed by now is kept."""
        if job.status == "InProgress":
            self._run_until(job, now)
        job.set_status("Stopping", now)

    def _seconds(self, job: Job) -> float:
        """How long a job stays in its present status."""
        pace = self._settings.pace
        running = pace.running + pace.per_record * job.counts.total
        return {
            "Submitted": pace.submitted,
            "Validating": pace.validating,
            "Scheduled": pace.scheduled,
            "InProgress": running,
            "Stopping": pace.stopping,
        }[job.status]

    def _validate(self, job: Job, at: float) -> None:
        source = job.params["inputDataConfig"]["s3InputDataConfig"]["s3Uri"]
        quotas = self._settings.quotas
        try:
            files = checked_input(self._storage, source, job.output_uri, job.region, quotas)
        except ServiceFailure as failure:
            job.set_status("Failed", at, failure.message)
            return
        runner = RecordRunner(self._parts, job.invocation, job.known)
        job.work = Work(files, runner, job.output_fault)
        job.set_status("Scheduled", at)

    def _begin(self, job: Job, at: float) -> None:
        if job.fault.ends_early(job.counts.total):
            self._end(job, str(job.fault.status), at)
        else:
            job.set_status("InProgress", at)

    def _run_until(self, job: Job, now: float) -> None:
        """Run the share of records that is done by now."""
        work, seconds = job.work, self._seconds(job)
        if work is not None:
            share = (now - job.since) / seconds if seconds else 1.0
            work.run_to(int(job.fault.limit(work.total) * share))

    def _complete(self, job: Job, at: float) -> None:
        if job.work is not None:
            job.work.run_to(job.fault.limit(job.work.total))
        self._end(job, job.fault.status or "Completed", at)

    def _expire(self, job: Job) -> None:
        """The job's time is up."""
        if job.status == "InProgress":
            self._run_until(job, job.expires)
            self._end(job, "PartiallyCompleted", job.expires)
        else:
            self._end(job, "Expired", job.expires)

    def _end(self, job: Job, status: str, at: float) -> None:
        job.set_status(status, at, job.fault.message if status == job.fault.status else None)
        if job.counts.processed:
            job.output_due = at + job.fault.output_after
            job.output_ends = at + job.fault.output_for
        else:
            self._close(job)

    def _write(self, job: Job) -> None:
        if job.work is not None:
            job.work.write_output(self._storage, job.output_uri, job.fault.manifest)

    def _close(self, job: Job) -> None:
        if job.work is not None:
            job.work.close()
