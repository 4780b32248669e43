"""Whether asking a cheap model first still pays: the break-even guard. Pure; no model is called.

Cheap-first costs the cheap answer and its check, always, and the strong answer where the check
fails; strong-first costs the strong answer, always. So cheap-first pays exactly if

    escalation rate < 1 - (cheap + check) / strong

with each request weighted by what the strong model charges for it: requests that escalate are
the long ones, and an unweighted rate is too kind. What the strong model would have charged for a
request it never saw is worked out from the cheap answer's length and from the ratio of the two
models' lengths on the requests that both have answered.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from langchain_bedrock_opt.catalog.prices import ModelPrice, price_of
from langchain_bedrock_opt.contracts import TokenUsage
from langchain_bedrock_opt.errors import ConfigurationError

_RATIO_PRIOR_TOKENS: Final = 500
"""Until more is seen, the strong model is taken to write as much as the cheap one."""

_HALF: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One request that a cheap model answered first.

    Attributes:
        cheap: What the cheap answer spent.
        check_pico_usd: What checking it cost, such as a second model's answer.
        strong: What the strong answer spent; None if the cheap one was kept.
    """

    cheap: TokenUsage
    check_pico_usd: int = 0
    strong: TokenUsage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What cheap-first has cost on some trials, and what strong-first would have.

    Attributes:
        trials: How many requests were tried.
        escalations: How many of them the strong model answered in the end.
        first_pico_usd: Cheap answers and their checks.
        escalated_pico_usd: Strong answers.
        strong_pico_usd: What the strong model would have charged for all of them, in part
            estimated.
    """

    trials: int = 0
    escalations: int = 0
    first_pico_usd: int = 0
    escalated_pico_usd: int = 0
    strong_pico_usd: int = 0

    @property
    def saved_pico_usd(self) -> int:
        """What cheap-first has saved; negative if it was dearer."""
        return self.strong_pico_usd - self.first_pico_usd - self.escalated_pico_usd

    @property
    def break_even_rate(self) -> float:
        """The escalation rate from which on strong-first is cheaper; 0 or less: always."""
        if not self.strong_pico_usd:
            return 0.0
        return 1.0 - self.first_pico_usd / self.strong_pico_usd

    def rate(self, prior_rate: float = 0.0, prior_trials: float = 0.0) -> float:
        """The share of the strong model's cost that was spent all the same.

        Args:
            prior_rate: The rate that is taken for granted before anything is seen.
            prior_trials: How many average trials that prior weighs.
        """
        mean = self.strong_pico_usd / self.trials if self.trials else 1.0
        total = self.strong_pico_usd + prior_trials * mean
        if not total:
            return prior_rate
        return (self.escalated_pico_usd + prior_rate * prior_trials * mean) / total


class _Tally:
    """Sums over trials, from which trials can be taken out again.

    Everything is linear in a trial, save the ratio of lengths, which is one for all of them: so a
    window moves on in constant time, however long it is.
    """

    __slots__ = ("_strong_output_price", "_sums")

    def __init__(self, strong_output_price: int) -> None:
        self._strong_output_price = strong_output_price
        self._sums: tuple[int, ...] = (0,) * 8

    def add(self, entry: tuple[int, ...]) -> None:
        self._sums = tuple(map(int.__add__, self._sums, entry))

    def take_out(self, entry: tuple[int, ...]) -> None:
        self._sums = tuple(map(int.__sub__, self._sums, entry))

    def balance(self) -> Balance:
        trials, escalations, first, escalated, prompts, kept, cheap_both, strong_both = self._sums
        ratio = (strong_both + _RATIO_PRIOR_TOKENS) / (cheap_both + _RATIO_PRIOR_TOKENS)
        answers = round(kept * ratio) * self._strong_output_price
        return Balance(
            trials=trials,
            escalations=escalations,
            first_pico_usd=first,
            escalated_pico_usd=escalated,
            strong_pico_usd=escalated + prompts + answers,
        )


def _entry(trial: Trial, cheap: ModelPrice, strong: ModelPrice) -> tuple[int, ...] | None:
    """A trial as what a tally adds up; None if some of its tokens have no price."""
    spent = cheap.cost(trial.cheap)
    if trial.strong is None:
        # What the strong model would have charged for the prompt; its answer's length is guessed.
        prompt = strong.cost(replace(trial.cheap, output=0))
        if spent is None or prompt is None:
            return None
        return (1, 0, spent + trial.check_pico_usd, 0, prompt, trial.cheap.output, 0, 0)
    charged = strong.cost(trial.strong)
    if spent is None or charged is None:
        return None
    lengths = (trial.cheap.output, trial.strong.output)
    return (1, 1, spent + trial.check_pico_usd, charged, 0, 0, *lengths)


def balance_of(trials: Iterable[Trial], cheap: ModelPrice, strong: ModelPrice) -> Balance:
    """Add trials up.

    Args:
        trials: The trials; those whose tokens have no price are left out.
        cheap: The cheap model's price.
        strong: The strong model's price.

    Example:
        >>> haiku = price_of("anthropic.claude-3-haiku-20240307-v1:0")
        >>> opus = price_of("anthropic.claude-3-opus-20240229-v1:0")
        >>> kept = Trial(cheap=TokenUsage(input=100, output=100))
        >>> balance = balance_of([kept], haiku, opus)
        >>> round(balance.break_even_rate, 3), balance.rate()
        (0.983, 0.0)
    """
    tally = _Tally(strong.output)
    for trial in trials:
        if (entry := _entry(trial, cheap, strong)) is not None:
            tally.add(entry)
    return tally.balance()


_A_REQUEST: Final = Trial(cheap=TokenUsage(input=600, output=300))
"""What a pair of models is judged by before anything is seen; only the price ratio counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A cheap model, the strong one behind it, and the model that checks the cheap one's answers.

    Attributes:
        cheap: Model id of the one that is asked first.
        strong: Model id of the one that answers in its stead.
        check: Model id of the one that checks by answering too, if there is one.
    """

    cheap: str
    strong: str
    check: str | None = None


class _Stratum:
    """Requests of about the same complexity, in one pair: the latest trials and their sums."""

    def __init__(self, window: int, strong_output_price: int, *, is_on: bool) -> None:
        self._entries: deque[tuple[int, ...]] = deque()
        self._window = window
        self._tally = _Tally(strong_output_price)
        self.is_on = is_on
        self.passed_over = 0

    def add(self, entry: tuple[int, ...]) -> Balance:
        self._entries.append(entry)
        self._tally.add(entry)
        self.forget_all_but(self._window)
        return self._tally.balance()

    def forget_all_but(self, latest: int) -> None:
        while len(self._entries) > latest:
            self._tally.take_out(self._entries.popleft())

    def add_to(self, tally: _Tally) -> None:
        for entry in self._entries:
            tally.add(entry)


class BreakEven:
    """Switches cheap-first off where it costs more than asking the strong model at once.

    Each pair of models is judged by itself, and within it simple and complex requests apart:
    cheap-first may pay for the first and not for the others. A pair whose list prices alone rule
    it out is never tried. The others are judged by what they were seen to cost; where cheap-first
    is off, a request is tried now and then, as long as the pair has saved more than it has cost,
    so that it is switched on again when traffic changes. A model without a price is not judged:
    cheap-first stays on.

    Args:
        prices: The price of a model id; None if there is none.
        window: How many trials are looked at: the latest ones.
        minimum: With fewer trials nothing is switched off.
        prior_rate: The escalation rate that is taken for granted before anything is seen.
        prior_trials: How many trials that weighs.
        margin: How far below break-even the rate must be to stay on; twice as far, to be switched
            on again.
        strata: Into how many ranges of the complexity score requests are parted.
        retry_every: While it is off, one request in so many is tried.

    Raises:
        ConfigurationError: An argument is out of its range.

    Example:
        >>> guard = BreakEven(minimum=1, prior_trials=0)
        >>> opus_first = Pair(
        ...     cheap="anthropic.claude-3-opus-20240229-v1:0",
        ...     strong="anthropic.claude-3-haiku-20240307-v1:0",
        ... )
        >>> guard.pays(opus_first)
        False
    """

    def __init__(
        self,
        *,
        prices: Callable[[str], ModelPrice | None] = price_of,
        window: int = 200,
        minimum: int = 20,
        prior_rate: float = 0.1,
        prior_trials: float = 10,
        margin: float = 0.05,
        strata: int = 4,
        retry_every: int = 20,
    ) -> None:
        for name, value in (("minimum", minimum), ("strata", strata), ("retry_every", retry_every)):
            if value < 1:
                raise ConfigurationError(f"{name}={value!r} must be at least 1.")
        if window < minimum:
            raise ConfigurationError(f"window={window!r} must hold minimum={minimum!r} trials.")
        if not 0 <= prior_rate <= 1 or prior_trials < 0 or not 0 <= margin < 1:
            raise ConfigurationError(
                f"prior_rate={prior_rate!r} and margin={margin!r} must be between 0 and 1, and "
                f"prior_trials={prior_trials!r} not negative."
            )
        self._prices = prices
        self._window = window
        self._minimum = minimum
        self._prior = (prior_rate, prior_trials)
        self._margin = margin
        self._strata = strata
        self._retry_every = retry_every
        self._seen: dict[Pair, list[_Stratum]] = {}
        self._saved: dict[Pair, int] = {}
        self._lock = threading.Lock()

    def pays(self, pair: Pair, score: float = _HALF) -> bool:
        """Whether the next request shall go to the cheap model first. Each asking counts.

        Args:
            pair: The models.
            score: The request's complexity, from 0 to 1.
        """
        with self._lock:
            stratum = self._stratum(pair, score)
            if stratum.is_on:
                return True
            stratum.passed_over += 1
            if stratum.passed_over < self._retry_every or self._saved.get(pair, 0) <= 0:
                return False
            stratum.passed_over = 0
            return True

    def observe(self, pair: Pair, trial: Trial, score: float = _HALF) -> None:
        """Take note of a request that was sent to the cheap model first.

        Args:
            pair: The models.
            trial: What it cost.
            score: The request's complexity, from 0 to 1.
        """
        cheap, strong = self._prices(pair.cheap), self._prices(pair.strong)
        if cheap is None or strong is None or (entry := _entry(trial, cheap, strong)) is None:
            return
        with self._lock:
            stratum = self._stratum(pair, score)
            balance = stratum.add(entry)
            share = balance.saved_pico_usd // balance.trials
            self._saved[pair] = self._saved.get(pair, 0) + share
            self._judge(stratum, balance)

    def balance(self, pair: Pair) -> Balance:
        """What a pair has cost and saved over the trials in its windows."""
        strong = self._prices(pair.strong)
        if strong is None:
            return Balance()
        tally = _Tally(strong.output)
        with self._lock:
            for stratum in self._seen.get(pair, ()):
                stratum.add_to(tally)
        return tally.balance()

    def _judge(self, stratum: _Stratum, balance: Balance) -> None:
        if balance.trials < self._minimum:
            return
        rate = balance.rate(*self._prior)
        # Guessed lengths and chance flatter what barely pays, and asking twice takes twice as long.
        if stratum.is_on and rate >= balance.break_even_rate - self._margin:
            stratum.is_on = False
            # What is old weighs less from here on, or it could not be switched on again for long.
            stratum.forget_all_but(self._minimum)
        elif not stratum.is_on and rate < balance.break_even_rate - 2 * self._margin:
            stratum.is_on = True

    def _stratum(self, pair: Pair, score: float) -> _Stratum:
        strata = self._seen.get(pair)
        if strata is None:
            price, is_on = self._prices(pair.strong), self._may_pay(pair)
            strata = self._seen[pair] = [
                _Stratum(self._window, price.output if price else 0, is_on=is_on)
                for _ in range(self._strata)
            ]
        return strata[min(int(score * self._strata), self._strata - 1)]

    def _may_pay(self, pair: Pair) -> bool:
        """Whether list prices leave room for cheap-first, on an answer of the same length."""
        cheap, strong = self._prices(pair.cheap), self._prices(pair.strong)
        check = self._prices(pair.check) if pair.check else None
        if cheap is None or strong is None:
            return True
        checked = (check.cost(_A_REQUEST.cheap) or 0) if check else 0
        balance = balance_of([replace(_A_REQUEST, check_pico_usd=checked)], cheap, strong)
        return self._prior[0] < balance.break_even_rate
