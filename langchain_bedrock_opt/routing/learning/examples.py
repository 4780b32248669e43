"""Prompts whose answers somebody has judged, in the forms in which people have them."""

from __future__ import annotations

import json
import os
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from statistics import fmean
from typing import Any, Final, cast

from langchain_core.language_models import LanguageModelInput

from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.errors import CalibrationError, ConfigurationError
from langchain_bedrock_opt.routing.learning.example_files import read_rows
from langchain_bedrock_opt.routing.learning.labels import (
    RawLabel,
    Scale,
    by_run,
    on_scale,
    read_label,
)
from langchain_bedrock_opt.routing.records import HasRecords, Tier
from langchain_bedrock_opt.routing.scoring.asking import is_by_scorer
from langchain_bedrock_opt.routing.scoring.reading import messages_of, read_conversation

PROMPT_COLUMNS: Final = ("prompt", "messages", "question", "text", "input")
LABEL_COLUMNS: Final = ("label", "correct", "rating", "grade", "score", "thumbs")


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt with what is known of the answers to it.

    Attributes:
        prompt: What `invoke` takes.
        tier: The tier that `label` is about, by its name or model id; None for the cheapest.
        label: How good the answer was: a boolean, a number, or a word such as "yes" or 👍.
        outcomes: Labels by tier, beside or in place of `tier` and `label`.
        tools: The tools that were bound.

    Example:
        >>> Example("日本の首都は?", label=True).tier is None
        True
    """

    prompt: LanguageModelInput
    tier: str | None = None
    label: Any = None
    outcomes: Mapping[str, Any] | None = None
    tools: Sequence[Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One prompt, or one usage record, with labels from 0 to 1 by tier.

    Attributes:
        key: What says into which part of cross-validation it goes: the same for the same question.
        outcomes: How good each tier's answer was.
        prompt: What `invoke` takes; None for a usage record, which holds no prompt.
        tools: The tools that were bound.
        score: The score that the record has; None where there is a prompt to score.
        tokens: Of the request.
    """

    key: str
    outcomes: Mapping[str, float]
    prompt: LanguageModelInput | None = None
    tools: Sequence[Any] | None = None
    score: float | None = None
    tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cases:
    """What was read.

    Attributes:
        cases: Each prompt once, with the mean of its labels for each tier; or each usage record,
            also where several are of one prompt, as they don't hold it.
        labels: How many labels that were.
        left_out: Rows without any label, and records of calls that were not routed here, or not by
            a score of the scorer's own.
        have_prompts: False for usage records.
    """

    cases: tuple[Case, ...]
    labels: int
    left_out: int
    have_prompts: bool


@dataclass(slots=True)
class _Row:
    """A prompt or a record, on its way to a `Case`."""

    key: str
    prompt: LanguageModelInput | None = None
    tools: Sequence[Any] | None = None
    score: float | None = None
    tokens: int = 0
    found: list[tuple[str, RawLabel]] = field(default_factory=list)


def read_examples(
    examples: Any,
    tiers: Sequence[Tier],
    *,
    labels: Mapping[str, Any] | None = None,
    scale: Scale | None = None,
) -> Cases:
    """Read prompts with labels.

    Args:
        examples: A path to JSON lines or CSV; mappings or `Example`s; a ledger or usage records.
        tiers: The router's tiers, from the cheapest to the strongest.
        labels: For a ledger or records: labels by run id.
        scale: What the worst and the best answer get, where numbers are not from 0 to 1.

    Raises:
        ConfigurationError: It is none of these, or a row is malformed; the message has its number.
        CalibrationError: Nothing has a label.
    """
    rows = _rows_of(examples)
    are_records = labels is not None or (bool(rows) and isinstance(rows[0], UsageRecord))
    read = _from_records(rows, tiers, labels) if are_records else _from_rows(rows, tiers)
    found, left_out = read
    if not found:
        raise CalibrationError(_unlabelled(rows, labels))
    flat = [label for row in found.values() for _, label in row.found]
    values = iter(on_scale(flat, scale))
    return Cases(
        cases=tuple(_case(row, [next(values) for _ in row.found]) for row in found.values()),
        labels=len(flat),
        left_out=left_out,
        have_prompts=not are_records,
    )


def _unlabelled(rows: Sequence[Any], labels: Mapping[str, Any] | None) -> str:
    """What to say where nothing has a label."""
    if not rows:
        return "There are no examples: give prompts with labels."
    if labels is not None:
        return (
            f"None of {len(labels)} labels is for one of {len(rows)} usage records: give them by "
            f"the run ids of routed calls, such as {rows[0].run_id!r}."
        )
    columns = ", ".join(map(str, rows[0])) if isinstance(rows[0], Mapping) else "Example"
    return (
        f"None of {len(rows)} rows has a label under {', '.join(LABEL_COLUMNS)}, or under the name "
        f"of a tier. The first one has: {columns}."
    )


def _rows_of(examples: Any) -> list[Any]:
    if isinstance(examples, (str, os.PathLike)):
        return [*read_rows(Path(examples))]
    if isinstance(examples, HasRecords):
        return [*examples.records()]
    if isinstance(examples, Iterable) and not isinstance(examples, (Mapping, bytes)):
        return [*examples]
    raise ConfigurationError(
        f"examples is {type(examples).__name__}: give a path to JSON lines or CSV, a list of "
        "mappings or Examples, or a ledger with labels=."
    )


def _case(row: _Row, values: Sequence[float]) -> Case:
    by_tier: dict[str, list[float]] = {}
    for (tier, _), value in zip(row.found, values, strict=True):
        by_tier.setdefault(tier, []).append(value)
    return Case(
        key=row.key,
        outcomes={tier: fmean(found) for tier, found in by_tier.items()},
        prompt=row.prompt,
        tools=row.tools,
        score=row.score,
        tokens=row.tokens,
    )


# --- Rows with prompts ---


def _from_rows(rows: Sequence[Any], tiers: Sequence[Tier]) -> tuple[dict[Hashable, _Row], int]:
    found: dict[Hashable, _Row] = {}
    left_out = 0
    for number, row in enumerate(rows, 1):
        where = f"Row {number}"
        example = row if isinstance(row, Example) else _example(row, tiers, where)
        labels = list(_labels(example, tiers, where))
        identity, read = _read_prompt(example, where)
        if labels:
            found.setdefault(identity, read).found += labels
        else:
            left_out += 1
    return found, left_out


def _example(row: Any, tiers: Sequence[Tier], where: str) -> Example:
    if not isinstance(row, Mapping):
        raise ConfigurationError(
            f"{where} is {type(row).__name__}: give mappings or Examples; of a data frame, "
            'frame.to_dict("records").'
        )
    outcomes = _by_tier(row.get("outcomes"), tiers, where)
    names = [name for tier in tiers for name in (tier.name, tier.model_id)]
    columns = {name: row[name] for name in names if name in row and name not in PROMPT_COLUMNS}
    return Example(
        prompt=_prompt_of(row, where),
        tier=row.get("tier") or None,
        label=_first(row, LABEL_COLUMNS),
        outcomes={**outcomes, **columns} or None,
        tools=row.get("tools") or None,
    )


def _prompt_of(row: Mapping[str, Any], where: str) -> Any:
    """The prompt; a cell of CSV may hold messages as JSON."""
    messages = row.get("messages")
    if not isinstance(messages, str) or not messages.lstrip().startswith("["):
        return _first(row, PROMPT_COLUMNS)
    try:
        return json.loads(messages)
    except ValueError as error:
        raise ConfigurationError(f"{where}: messages is neither a text nor JSON.") from error


def _by_tier(outcomes: Any, tiers: Sequence[Tier], where: str) -> Mapping[str, Any]:
    if outcomes is None or isinstance(outcomes, Mapping):
        return outcomes or {}
    raise ConfigurationError(
        f"{where}: outcomes is {type(outcomes).__name__}: give labels by tier, such as "
        f'{{"{tiers[0].name}": true}}.'
    )


def _first(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    """The first of these columns that the row fills."""
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


def _labels(example: Example, tiers: Sequence[Tier], where: str) -> Iterable[tuple[str, RawLabel]]:
    of_one = (tiers[0].name if example.tier is None else example.tier, example.label)
    for name, value in [*_by_tier(example.outcomes, tiers, where).items(), of_one]:
        tier = _tier_of(name, tiers, where)
        if (label := read_label(value, f"{where}, tier {tier!r}")) is not None:
            yield tier, label


def _tier_of(name: Any, tiers: Sequence[Tier], where: str) -> str:
    for tier in tiers:
        if name in (tier.name, tier.model_id):
            return tier.name
    known = ", ".join(f"{tier.name!r} ({tier.model_id})" for tier in tiers)
    raise ConfigurationError(f"{where}: {name!r} is none of the tiers {known}.")


def _read_prompt(example: Example, where: str) -> tuple[Hashable, _Row]:
    """What a prompt is known again by, and the prompt."""
    prompt = example.prompt
    if prompt is None or prompt in ("", []):
        raise ConfigurationError(
            f"{where} has no prompt: put it under one of {', '.join(PROMPT_COLUMNS)}."
        )
    try:
        conversation = read_conversation(prompt)
        identity = _digest(_told(prompt)), len(example.tools or ())
    except (TypeError, ValueError, KeyError, NotImplementedError) as error:
        raise ConfigurationError(
            f"{where}: the prompt can't be read ({type(error).__name__}): give a text or messages."
        ) from error
    return identity, _Row(
        key=_digest(conversation.ask),
        prompt=prompt,
        tools=example.tools,
        tokens=conversation.total.tokens(),
    )


def _told(prompt: LanguageModelInput) -> str:
    if isinstance(prompt, str):
        return f"human {prompt!r}"
    return "\n".join(f"{each.type} {each.content!r}" for each in messages_of(prompt))


def _digest(text: str) -> str:
    # Half of a surrogate pair is in texts that were cut; it is no valid UTF-8.
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


# --- Usage records ---


def _from_records(
    records: Sequence[Any], tiers: Sequence[Tier], labels: Mapping[str, Any] | None
) -> tuple[dict[Hashable, _Row], int]:
    """What labelled calls say of the tiers.

    An escalated answer is none of the stronger tier's as a first choice, which would have seen
    easier prompts too. It counts as a bad one (0) of the tier that was asked first, whatever its
    label: left out, that tier would look better by each answer that had to be replaced. Where a
    tier stands in for one that can't be reached, its label counts for the tier that answered: why
    the other was out of reach has nothing to do with the prompt.
    """
    if labels is None:
        raise ConfigurationError("Usage records hold no labels: give labels={run_id: label}.")
    labels = by_run(labels)
    names = {tier.name for tier in tiers}
    found: dict[Hashable, _Row] = {}
    left_out = 0
    for number, record in enumerate(cast("Sequence[UsageRecord]", records), 1):
        if not isinstance(record, UsageRecord):
            raise ConfigurationError(
                f"Row {number} is {type(record).__name__}, not a usage record: labels= goes with a "
                "ledger or records. The labels of prompts stand in the rows themselves."
            )
        label = read_label(labels.get(record.run_id), f"Run {record.run_id}")
        route = record.route
        if label is None or route is None or not is_by_scorer(route):
            left_out += 1
            continue
        tier = route.escalated_from or route.tier
        if tier not in names:
            left_out += 1
            continue
        if route.escalated_from is not None:
            label = RawLabel(value=0.0, is_number=False, where=label.where)
        usage = record.usage
        found[record.run_id] = _Row(
            key=record.run_id,
            score=route.score,
            tokens=0 if usage is None else usage.total - usage.output,
            found=[(tier, label)],
        )
    return found, left_out
