"""`BatchPlan`: what a run would be, before anything is sent."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from langchain_bedrock_opt.batching.parts import (
    BatchSettings,
    Entry,
    JobKind,
    Known,
    Program,
    Record,
)
from langchain_bedrock_opt.batching.run.pricing import (
    Bill,
    KindBill,
    Tariff,
    TokenEstimate,
    dollars,
)
from langchain_bedrock_opt.batching.run.sharding import Limits, Splitter, line_bytes
from langchain_bedrock_opt.catalog.price_book import PriceBook, default_prices

# A record of half a file leaves files half empty, and one of a whole file is refused.
_LARGE: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class KindPlan:
    """What a run would ask one model.

    Attributes:
        model_id: The model.
        invocation: The format of the records.
        records: Distinct records.
        same: Records that are equal to one that comes before: they are not sent.
        jobs: Records of each job.
        below_minimum: Records that are too few for a job.
        bytes: What the input files weigh.
        largest: What the largest record weighs.
        input_tokens: Estimated tokens of the inputs.
        output_tokens: The most tokens that the outputs can have.
        expected_output_tokens: The tokens that the outputs are expected to have.
    """

    model_id: str
    invocation: str
    records: int
    same: int
    jobs: tuple[int, ...]
    below_minimum: int
    bytes: int
    largest: int
    input_tokens: int
    output_tokens: int
    expected_output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPlan:
    """What a run would be: jobs, bytes, tokens and cost of its first stage. Nothing is sent.

    Costs are in US dollars and None if a model has no price. They rest on estimated tokens.

    Attributes:
        inputs: All inputs.
        known: Inputs whose answer a cache has.
        refused: Inputs that no record can be made of, and why, by their place.
        kinds: What each model would be asked.
        expected_usd: What the run would cost, with outputs as long as is expected.
        at_most_usd: The same, with outputs as long as they may get.
        on_demand_expected_usd: What single calls for all inputs would cost, as expected.
        on_demand_at_most_usd: The same, at most.
        warnings: What is worth a look before it is sent, a sentence each.
    """

    inputs: int
    known: int
    refused: dict[int, Exception]
    kinds: tuple[KindPlan, ...]
    expected_usd: Decimal | None
    at_most_usd: Decimal | None
    on_demand_expected_usd: Decimal | None
    on_demand_at_most_usd: Decimal | None
    warnings: tuple[str, ...]

    @property
    def jobs(self) -> int:
        """How many jobs there would be."""
        return sum(len(kind.jobs) for kind in self.kinds)

    def rows(self) -> list[tuple[str, str]]:
        """Names and values, for people."""
        rows = [("inputs", f"{self.inputs:,}"), ("jobs", f"{self.jobs:,}")]
        if self.known:
            rows.append(("known to a cache", f"{self.known:,}"))
        if self.refused:
            rows.append(("refused", f"{len(self.refused):,}"))
        for kind in self.kinds:
            rows += [
                (f"{kind.model_id}", f"{kind.records:,} records, {kind.same:,} more are equal"),
                ("  format", kind.invocation),
                ("  input files", f"{kind.bytes:,} bytes in {_counted(len(kind.jobs), 'job')}"),
                ("  tokens in", f"about {kind.input_tokens:,}"),
                (
                    "  tokens out",
                    (
                        f"about {kind.expected_output_tokens:,} (as many as in, unless you say "
                        f"more), at most {kind.output_tokens:,}"
                    ),
                ),
            ]
        rows += [
            ("cost", _range(self.expected_usd, self.at_most_usd)),
            ("on demand", _range(self.on_demand_expected_usd, self.on_demand_at_most_usd)),
            *(("warning", warning) for warning in self.warnings),
        ]
        return rows

    def __str__(self) -> str:
        """A table."""
        rows = self.rows()
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
            for name, value in self.rows()
        )
        return f"<table>{cells}</table>"


def plan(
    program: Program,
    inputs: Iterable[Any],
    settings: BatchSettings,
    *,
    prices: PriceBook | None = None,
    region: str | None = None,
    estimate: TokenEstimate | None = None,
    expected_output: int | None = None,
) -> BatchPlan:
    """What a run would be. Memory does not grow with the inputs, and nothing is sent.

    Args:
        program: What the run would ask.
        inputs: The inputs.
        settings: How jobs would be made.
        prices: What tokens cost.
        region: The region of the jobs.
        estimate: How many tokens a record has.
        expected_output: Tokens that an output is expected to have; by default as many as its
            input has, and never more than it may have.
    """
    entries = program.entries(0, enumerate(inputs))
    tariff = Tariff(prices or default_prices(), region)
    return plan_of(entries, settings, tariff, estimate=estimate, expected_output=expected_output)


def plan_of(
    entries: Iterable[Entry],
    settings: BatchSettings,
    tariff: Tariff,
    *,
    estimate: TokenEstimate | None = None,
    expected_output: int | None = None,
) -> BatchPlan:
    """What a run of these entries would be.

    Args:
        entries: The entries.
        settings: How jobs would be made.
        tariff: What tokens cost.
        estimate: How many tokens a record has.
        expected_output: As for `plan`.
    """
    if estimate is None:
        from langchain_bedrock_opt.batching.records.estimates import estimate as by_text

        estimate = by_text
    bill = Bill(settings, tariff, estimate, expected_output=expected_output)
    cutter = _Cutter(Limits.of(settings))
    inputs = known = 0
    refused: dict[int, Exception] = {}
    for entry in entries:
        inputs += 1
        if isinstance(entry, Record):
            if line_bytes(entry.body) > settings.max_file_bytes:
                refused[entry.place] = ValueError("the record is larger than a file may be")
            elif bill.add(entry.kind, entry.place, entry.body):
                cutter.add(entry)
        elif isinstance(entry, Known):
            known += 1
        else:
            refused[entry.place] = entry.error
    shards = cutter.finish()
    cost = bill.estimate()
    kinds = tuple(
        _kind_plan(kind, counts, shards[kind], settings) for kind, counts in bill.kinds.items()
    )
    return BatchPlan(
        inputs=inputs,
        known=known,
        refused=refused,
        kinds=kinds,
        expected_usd=cost.expected_usd,
        at_most_usd=cost.at_most_usd,
        on_demand_expected_usd=cost.on_demand_expected_usd,
        on_demand_at_most_usd=cost.on_demand_at_most_usd,
        warnings=tuple(_warnings(kinds, refused, cost.unpriced, settings)),
    )


class _Cutter:
    """Cuts records as `submit` would, and keeps only the counts."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._counts: dict[JobKind, list[int]] = {}
        self._splitters: dict[JobKind, Splitter] = {}

    def add(self, record: Record) -> None:
        if record.kind not in self._splitters:
            counts = self._counts[record.kind] = [0]

            def count(_: Record) -> None:
                counts[-1] += 1

            self._splitters[record.kind] = Splitter(
                self._limits, write=count, close=lambda: counts.append(0)
            )
        self._splitters[record.kind].add(record)

    def finish(self) -> dict[JobKind, list[int]]:
        for splitter in self._splitters.values():
            splitter.finish()
        return {kind: counts[:-1] for kind, counts in self._counts.items()}


def _kind_plan(
    kind: JobKind, bill: KindBill, shards: list[int], settings: BatchSettings
) -> KindPlan:
    jobs = tuple(count for count in shards if count >= settings.min_records)
    return KindPlan(
        model_id=kind.model_id,
        invocation=kind.invocation,
        records=bill.records,
        same=bill.same,
        jobs=jobs,
        below_minimum=bill.records - sum(jobs),
        bytes=bill.bytes,
        largest=bill.largest,
        input_tokens=bill.input_tokens,
        output_tokens=bill.output_tokens,
        expected_output_tokens=bill.expected_tokens,
    )


def _warnings(
    kinds: Iterable[KindPlan],
    refused: dict[int, Exception],
    unpriced: tuple[str, ...],
    settings: BatchSettings,
) -> Iterator[str]:
    for kind in kinds:
        if kind.below_minimum:
            yield (
                f"{kind.below_minimum:,} records of {kind.model_id} are too few for a job of "
                f"{settings.min_records:,}: below_minimum={settings.below_minimum!r} holds for "
                "them."
            )
        if kind.largest > _LARGE * settings.max_file_bytes:
            yield (
                f"A record of {kind.model_id} weighs {kind.largest:,} bytes, and a file takes "
                f"{settings.max_file_bytes:,}."
            )
    for model_id in unpriced:
        yield f"There is no batch price for {model_id}: the cost is not known."
    if refused:
        first = min(refused)
        yield f"{len(refused):,} inputs make no record; the first is input {first}."


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _range(expected: Decimal | None, at_most: Decimal | None) -> str:
    if expected is None or at_most is None:
        return "unknown"
    return f"about {dollars(expected)}, at most {dollars(at_most)}"
