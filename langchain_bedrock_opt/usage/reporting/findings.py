"""What a reader of the records should look at: money that may be spent for nothing."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

from langchain_bedrock_opt.catalog.price_book import PriceBook, default_prices
from langchain_bedrock_opt.catalog.prices import ModelPrice
from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.usage.reporting.counterfactual import price_there
from langchain_bedrock_opt.usage.reporting.grouping import UNGROUPED
from langchain_bedrock_opt.usage.reporting.timeline import model_of
from langchain_bedrock_opt.usage.reporting.totals import is_provisioned

_LONG_PROMPT: Final = 2000
_SHORT_ANSWER: Final = 200
_DEAR: Final = 10_000_000  # pico-USD a token of output: $10 a million
_REPEATED: Final = 10  # calls from which on a prompt cache may pay
_MUCH: Final = 0.5
_MANY_THROTTLES: Final = 0.05
_MORE_UNITS: Final = "buy more model units, let it overflow to on-demand, or send less at once"
_MORE_QUOTA: Final = "use a cross-region profile, ask for more quota, or send less at once"
_Key = TypeVar("_Key", bound=Hashable)


_PriceOf: TypeAlias = Callable[[UsageRecord], ModelPrice | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing to look at.

    Attributes:
        kind: `waste`, `prompt caching`, `truncated`, `throttled` or `top spender`.
        where: The model, node or tag it is about.
        calls: How many calls show it.
        cost_pico_usd: What these cost.
        text: What was seen and what may help, in a sentence.
    """

    kind: str
    where: str
    calls: int
    cost_pico_usd: int
    text: str


def findings(
    records: Sequence[UsageRecord], *, prices: PriceBook | None = None
) -> tuple[Finding, ...]:
    """Look for waste; what costs the most comes first.

    Args:
        records: Any records.
        prices: Where prices come from; by default the process's own book.
    """
    book = prices or default_prices()
    paid = [record for record in records if record.usage is not None and not record.cache_hit]
    # The tokens of the others cost nothing: none of them can be saved.
    by_token = [record for record in paid if not is_provisioned(record)]

    def price(record: UsageRecord) -> ModelPrice | None:
        return price_there(model_of(record), record, book)

    found = [
        *_waste(by_token, price),
        *_prompt_caching(by_token, price),
        *_truncated(paid),
        *_throttled(records),
        *_top_spenders(paid),
    ]
    return tuple(sorted(found, key=lambda finding: -finding.cost_pico_usd))


def _grouped(
    records: Iterable[UsageRecord], key: Callable[[UsageRecord], _Key]
) -> dict[_Key, list[UsageRecord]]:
    groups: dict[_Key, list[UsageRecord]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups


def _cost(records: Iterable[UsageRecord]) -> int:
    return sum(record.cost_pico_usd or 0 for record in records)


def _prompt(record: UsageRecord) -> int:
    return 0 if record.usage is None else record.usage.total - record.usage.output


def _waste(records: Iterable[UsageRecord], price_of: _PriceOf) -> Iterable[Finding]:
    """Long prompts with short answers on dear models: a cheaper one may do."""
    for model, group in _grouped(records, model_of).items():
        wasted = [
            record
            for record in group
            if _prompt(record) > _LONG_PROMPT
            and record.usage is not None
            and record.usage.output < _SHORT_ANSWER
            and (price := price_of(record)) is not None
            and price.output >= _DEAR
        ]
        if wasted:
            yield Finding(
                kind="waste",
                where=model,
                calls=len(wasted),
                cost_pico_usd=_cost(wasted),
                text=f"prompts above {_LONG_PROMPT:,} tokens with answers below {_SHORT_ANSWER} "
                "on a dear model: try a cheaper one, or shorten the context",
            )


def _prompt_caching(records: Iterable[UsageRecord], price_of: _PriceOf) -> Iterable[Finding]:
    """Many long prompts of one place, none of them cached, on a model that can cache."""

    def place(record: UsageRecord) -> str:
        return f"{model_of(record)} in {record.path[-1]}" if record.path else model_of(record)

    for where, group in _grouped(records, place).items():
        long = [
            record
            for record in group
            if _prompt(record) > _LONG_PROMPT
            and (price := price_of(record)) is not None
            and price.cache_read is not None
        ]
        if len(long) < _REPEATED:
            continue
        if any(record.usage and record.usage.total - record.usage.output != record.usage.input
               for record in group):  # fmt: skip
            continue
        yield Finding(
            kind="prompt caching",
            where=where,
            calls=len(long),
            cost_pico_usd=_cost(long),
            text=f"prompts above {_LONG_PROMPT:,} tokens and none of them cached: if they begin "
            "alike, cache points make that part cheaper",
        )


def _truncated(records: Iterable[UsageRecord]) -> Iterable[Finding]:
    """Answers that `max_tokens` cut: paid for, and often asked for again."""
    cut = [record for record in records if record.stop_reason == "max_tokens"]
    for model, group in _grouped(cut, model_of).items():
        yield Finding(
            kind="truncated",
            where=model,
            calls=len(group),
            cost_pico_usd=_cost(group),
            text="answers that max_tokens cut off: raise it, or ask for less",
        )


def _throttled(records: Iterable[UsageRecord]) -> Iterable[Finding]:
    """Models whose quota is too small for what is asked of them."""
    for (model, is_by_hour), group in _grouped(
        records, lambda record: (model_of(record), is_provisioned(record))
    ).items():
        throttles = sum(map(_throttles, group))
        if throttles > _MANY_THROTTLES * len(group):
            throttled = [record for record in group if _throttles(record)]
            yield Finding(
                kind="throttled",
                where=model,
                calls=len(throttled),
                cost_pico_usd=_cost(throttled),
                text=f"{throttles:,} attempts were throttled: "
                + (_MORE_UNITS if is_by_hour else _MORE_QUOTA),
            )


def _throttles(record: UsageRecord) -> int:
    """How many attempts the model of a call throttled.

    Each throttle of a call that was answered led to a retry, or to another model: a provisioned
    throughput that overflows, as it is meant to, is not tried again.
    """
    if record.status == "error":
        return record.throttles
    return min(record.throttles, record.retries)


def _top_spenders(records: Sequence[UsageRecord]) -> Iterable[Finding]:
    """A tag, or a value of the metadata, that spends most of the money."""
    whole = _cost(records)
    shares: dict[str, list[UsageRecord]] = {}
    for record in records:
        for label in (*record.tags, *(f"{k}={v}" for k, v in record.metadata.items())):
            shares.setdefault(label, []).append(record)
    for label, group in shares.items():
        cost = _cost(group)
        # What all calls share spends nothing of its own.
        if whole and label != UNGROUPED and len(group) < len(records) and cost > _MUCH * whole:
            yield Finding(
                kind="top spender",
                where=label,
                calls=len(group),
                cost_pico_usd=cost,
                text=f"{cost / whole:.0%} of the cost",
            )
