"""Why a prompt goes where it goes, for people: as text, and in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from langchain_core.language_models import LanguageModelInput

from langchain_bedrock_opt.contracts import RouteDecision
from langchain_bedrock_opt.routing.decider import Decider
from langchain_bedrock_opt.routing.tables import html_bar, html_table, money, text_table


@dataclass(frozen=True, slots=True, kw_only=True)
class TierView:
    """One tier, seen from one prompt.

    Attributes:
        tier: Its name.
        model_id: The model id or ARN behind it.
        begins_at: The score from which on it takes prompts.
        cost_pico_usd: What the call would cost, estimated, in 10⁻¹² US dollars; None if no price
            is known.
        refusals: Why it can't or may not take the prompt, if so.
    """

    tier: str
    model_id: str
    begins_at: float
    cost_pico_usd: int | None
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A decision with all that led to it. It holds no prompt text.

    A notebook shows it as a table; `str()` gives it as text.

    Attributes:
        decision: The decision.
        tiers: Every tier, from the cheapest to the strongest.
        input_tokens: Estimated tokens of the request.
        output_tokens: The tokens that the answer is taken to have.
    """

    decision: RouteDecision
    tiers: tuple[TierView, ...]
    input_tokens: int
    output_tokens: int

    def as_dict(self) -> dict[str, Any]:
        """The explanation as a JSON-ready dict."""
        return {
            "decision": self.decision.as_dict(),
            "tiers": [
                {
                    "tier": view.tier,
                    "model_id": view.model_id,
                    "begins_at": view.begins_at,
                    "cost_pico_usd": view.cost_pico_usd,
                    "refusals": list(view.refusals),
                }
                for view in self.tiers
            ],
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
        }

    def __str__(self) -> str:
        """The explanation as text."""
        parts = [self._headline(), text_table([_HEAD, *self._tier_rows()])]
        if reasons := list(self._reason_rows()):
            parts.append(text_table(reasons))
        return "\n\n".join([*parts, self._footnote()])

    def _repr_html_(self) -> str:
        """The explanation as a notebook shows it: no script, no picture, everything escaped."""
        marks = [view.begins_at for view in self.tiers[1:]]
        return "".join(
            (
                f"<div><p><b>{escape(self._headline())}</b></p>",
                html_bar(self.decision.score, marks),
                html_table(_HEAD, list(self._tier_rows())),
                html_table(("weight", "signal", "seen"), list(self._reason_rows())),
                f"<p><small>{escape(self._footnote())}</small></p></div>",
            )
        )

    def _headline(self) -> str:
        decision = self.decision
        forced = ", forced" if decision.forced else ""
        effort = f", effort {decision.effort}" if decision.effort else ""
        shadow = f", in shadow mode: would be {decision.shadow}" if decision.shadow else ""
        return (
            f"{decision.tier} ({decision.model_id}): score {decision.score:.3f}"
            f"{forced}{effort}{shadow}"
        )

    def _footnote(self) -> str:
        return (
            f"Costs are estimates: about {self.input_tokens} tokens in, taken to be "
            f"{self.output_tokens} out, nothing cached."
        )

    def _tier_rows(self) -> Iterable[tuple[str, ...]]:
        for view in self.tiers:
            mark = "→ " if view.tier == self.decision.tier else ""
            state = "would be chosen" if view.tier == self.decision.shadow else ""
            state = f"lacks {', '.join(view.refusals)}" if view.refusals else state
            yield (
                f"{mark}{view.tier}",
                f"{view.begins_at:.3f}",
                money(view.cost_pico_usd),
                view.model_id,
                state,
            )

    def _reason_rows(self) -> Iterable[tuple[str, ...]]:
        for reason in self.decision.reasons:
            yield f"{reason.weight:+.3f}", reason.signal, reason.detail


_HEAD = ("tier", "from score", "cost", "model", "")


def explain(
    decider: Decider,
    messages: LanguageModelInput,
    *,
    tools: Sequence[Any] | None = None,
    force: str | None = None,
    output_tokens: int,
) -> Explanation:
    """Decide as a call would, and say why.

    Args:
        decider: Decides for the router.
        messages: What `invoke` takes.
        tools: The tools that are bound.
        force: A tier's name or model id.
        output_tokens: Tokens that the answer is taken to have.

    Raises:
        UnknownTierError: `force` names no tier.
        ConfigurationError: No tier can serve the request.
    """
    decision = decider.decide(messages, tools=tools, force=force)
    tokens = decider.tokens_of(messages, tools)
    refusals = decider.refusals(messages, tools)
    return Explanation(
        decision=decision,
        tiers=tuple(
            TierView(
                tier=tier.name,
                model_id=tier.model_id,
                begins_at=begins_at,
                cost_pico_usd=tier.cost(input_tokens=tokens, output_tokens=output_tokens),
                refusals=tuple(refused),
            )
            for tier, begins_at, refused in zip(
                decider.tiers, decider.thresholds, refusals, strict=True
            )
        ),
        input_tokens=tokens,
        output_tokens=output_tokens,
    )
