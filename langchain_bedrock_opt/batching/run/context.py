"""What all steps of a run share."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from langchain_bedrock_opt.aws.layers import region_of
from langchain_bedrock_opt.batching.jobs.control import JobControl
from langchain_bedrock_opt.batching.jobs.folder import S3Folder
from langchain_bedrock_opt.batching.parts import BatchSettings, Program, Services
from langchain_bedrock_opt.batching.run.pricing import Tariff, TokenEstimate
from langchain_bedrock_opt.batching.run.stage import Stage
from langchain_bedrock_opt.batching.run.state import CANCELLED
from langchain_bedrock_opt.catalog.price_book import PriceBook, default_prices


@dataclass(kw_only=True)
class Context:
    """A run, and the world it lives in.

    Attributes:
        folder: The run's folder.
        run_id: Its id.
        program: What it asks, and what it makes of answers.
        settings: How its jobs are made.
        services: The clients, and the clock.
        prices: What tokens cost.
        estimate: How many tokens a record has.
        declare: Writes down that there is this run, with these settings, unless that was done.
            It is called before anything that may be paid for: a run that is refused leaves
            nothing behind that would hold the user to what was refused.
        owner: This process's part in names, so that two uploads never meet.
        spent: What stages have cost, in pico-US-dollars, as far as this process has read them.
    """

    folder: S3Folder
    run_id: str
    program: Program
    settings: BatchSettings
    services: Services
    prices: PriceBook = field(default_factory=default_prices)
    estimate: TokenEstimate
    declare: Callable[[], object] = lambda: None
    owner: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    spent: dict[int, int] = field(default_factory=dict)
    _stages: dict[int, Stage] = field(default_factory=dict)

    @cached_property
    def control(self) -> JobControl:
        """The control plane."""
        return JobControl(self.services, self.settings)

    @property
    def tariff(self) -> Tariff:
        """What the run's models cost."""
        return Tariff(self.prices, region_of(self.services.bedrock))

    def is_cancelled(self) -> bool:
        """Whether the run was cancelled, by any process."""
        return self.folder.exists(CANCELLED)

    def stage(self, number: int) -> Stage:
        """A stage's folder."""
        if number not in self._stages:
            self._stages[number] = Stage(self.folder, number)
        return self._stages[number]
