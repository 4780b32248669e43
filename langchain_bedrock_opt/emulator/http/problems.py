"""What is wrong with a request, and the service's words for it.

Texts and paths are the service's own: "2 validation errors detected: Value '' at
'toolConfig.tools.1.member.toolSpec.name' failed to satisfy constraint: Member must satisfy
regular expression pattern: [a-zA-Z0-9_-]+; …" (seen in BerriAI/litellm#24668), as is the one of
unions (seen in maximhq/bifrost's tests).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from langchain_bedrock_opt.emulator.types import ServiceFailure

PathPart = str | int


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a request.

    Attributes:
        path: Member names and list indices (from 0), from the outside in.
        constraint: What the member must be.
        shown: How the value is quoted in the text, with a blank before it; empty for values that
            are sensitive or not simple.
        union: The name of the union that does not have exactly one member, if that is it.
    """

    path: tuple[PathPart, ...] = ()
    constraint: str
    shown: str = ""
    union: str | None = None

    def below(self, part: PathPart) -> Problem:
        """The same problem, seen from one level further out."""
        return Problem(
            path=(part, *self.path),
            constraint=self.constraint,
            shown=self.shown,
            union=self.union,
        )


class Refused(Exception):  # noqa: N818 - it is turned into a ServiceFailure, never shown
    """A value breaks the rules of its shape."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = problems

    def below(self, part: PathPart) -> Iterator[Problem]:
        """The problems, seen from one level further out."""
        return (problem.below(part) for problem in self.problems)


def validation_failure(problems: Sequence[Problem]) -> ServiceFailure:
    """The service's answer to a request with these problems.

    Args:
        problems: At least one.

    Example:
        >>> problem = Problem(path=("messages", 0, "role"), shown=" null", constraint=NOT_NULL)
        >>> print(validation_failure([problem]).message)
        1 validation error detected: Value null at 'messages.1.member.role' failed to satisfy \
constraint: Member must not be null
    """
    listed = [problem for problem in problems if problem.union is None]
    if not listed:
        first = problems[0]
        place = ".".join(map(str, first.path))
        message = f"The {first.union} object at {place} must set {first.constraint}."
        return ServiceFailure("ValidationException", message)
    count = f"{len(listed)} validation error{'s' if len(listed) > 1 else ''} detected"
    texts = (
        f"Value{problem.shown} at '{_place(problem.path)}' failed to satisfy constraint: "
        f"{problem.constraint}"
        for problem in listed
    )
    return ServiceFailure("ValidationException", f"{count}: {'; '.join(texts)}")


NOT_NULL: Final = "Member must not be null"
"""The constraint that a missing required member breaks."""


def _place(path: Sequence[PathPart]) -> str:
    """A path as the service writes it: list members count from 1."""
    return ".".join(f"{part + 1}.member" if isinstance(part, int) else part for part in path)
