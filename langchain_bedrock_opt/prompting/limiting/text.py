"""One text, cut to a budget of tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from langchain_bedrock_opt.errors import ContextTooLongError
from langchain_bedrock_opt.prompting.limiting.fences import fence_end, open_fence
from langchain_bedrock_opt.prompting.limiting.fitting import SLACK, CountText, Fitting
from langchain_bedrock_opt.prompting.limiting.markers import SAMPLE, marker_for
from langchain_bedrock_opt.prompting.limiting.sentences import SPAN, end_before, reach, start_after

Keep: TypeAlias = Literal["head", "tail", "ends"]
"""What is kept: the beginning, the end, or both without the middle."""

_LINE_END: Final = re.compile(r"[^\S\n]*\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextCut:
    """How texts are cut.

    Attributes:
        count: Counts the tokens of a text.
        keep: What is kept.
        head_share: Of both ends, the share of tokens that the beginning gets.
        marker: What stands in the place of what was left out; None for one in the text's
            language. Where a line ends it stands on a line of its own. With "" both ends are
            parted by a line end.
    """

    count: CountText
    keep: Keep = "head"
    head_share: float = 0.5
    marker: str | None = None

    def cut(self, text: str, max_tokens: int) -> str:
        """The text in at most `max_tokens`: itself if it fits, else what fits of it.

        Raises:
            ContextTooLongError: The counter finds more tokens than that in no text at all.
        """
        ends = (
            Fitting(text, self.count, room=max_tokens),
            Fitting(text, self.count, room=max_tokens, from_end=True),
        )
        nearly = ends[self.keep == "tail"].within(max_tokens + SLACK)
        if nearly == len(text) and self.count(text) <= max_tokens:
            return text
        marker, space = self._marker_for(text)
        if 2 * self.count(marker) > max_tokens:
            marker = ""  # rather some of the text than a word that there was some
        room, step = max_tokens - self.count(marker), 0
        while room > 0:
            result = self._joined(text, ends, room, marker, space)
            over = self.count(result) - max_tokens
            if over <= 0:
                return result
            # A counter that does not answer to less text is given up soon.
            room, step = room - max(over, step), 2 * step + 1
        if self.count("") > max_tokens:
            raise ContextTooLongError(
                f"No text at all has {self.count('')} tokens by this counter, and "
                f"max_tokens={max_tokens}: raise max_tokens.",
                needed_tokens=self.count(""),
                max_tokens=max_tokens,
            )
        return ""

    def _marker_for(self, text: str) -> tuple[str, str]:
        """The marker, and the space around it."""
        if self.marker is not None:
            return self.marker, ""
        samples = {
            "head": text[:SAMPLE],
            "tail": text[-SAMPLE:],
            "ends": text[: SAMPLE // 2] + text[-SAMPLE // 2 :],
        }
        found = marker_for(samples[self.keep])
        return found.text, found.space

    def _joined(
        self, text: str, ends: tuple[Fitting, Fitting], room: int, marker: str, space: str
    ) -> str:
        """What is kept of a text in so many tokens, with the marker in the place of the rest."""
        shares = {"head": room, "tail": 0, "ends": int(room * self.head_share)}
        head, before, end = "", "", 0
        if shares[self.keep]:
            end, closing = _beginning(text, ends[0].within(shares[self.keep]))
            head = text[:end] + closing
            before = "\n" if closing or _LINE_END.match(text, end) else space
        if self.keep == "head":
            return f"{head}{before}{marker}" if head and marker else head or marker
        kept = min(ends[1].within(room - self.count(head)), len(text) - end)
        start, opening = _ending(text, len(text) - kept)
        tail = opening + text[start:]
        after = "\n" if opening or text[start - 1 : start] == "\n" else space
        if not marker:
            return f"{head}\n{tail}" if head and tail else head or tail
        return "".join([head, before if head else "", marker, after if tail else "", tail])


def _beginning(text: str, limit: int) -> tuple[int, str]:
    """Where to end a beginning of at most `limit` characters, and what closes its code block."""
    cut = end_before(text, limit)
    fence = open_fence(text, cut)
    if fence is None:
        return cut, ""
    line = text.rfind("\n", max(fence.body, limit - reach(limit)), cut + 1)
    end = cut if line < 0 else len(text[:line].rstrip())
    if end <= fence.body or limit - fence.start <= reach(limit):
        return len(text[: fence.start].rstrip()), ""
    return end, f"\n{fence.marks}"


def _ending(text: str, limit: int) -> tuple[int, str]:
    """Where to begin an ending, at `limit` or later, and what opens its code block again."""
    cut = start_after(text, limit)
    fence = open_fence(text, cut)
    if fence is None:
        return cut, ""
    end = fence_end(text, fence, cut)
    if end - limit <= reach(len(text) - limit):
        return start_after(text, end), ""
    line = text.find("\n", limit, min(end, limit + SPAN))
    start = cut if line < 0 else line + 1
    if text[start:end].lstrip().startswith(fence.marks):  # nothing of the block is left
        return start_after(text, end), ""
    return start, f"{fence.opening}\n"
