"""Which calls that ended badly may be on the bill."""

from __future__ import annotations

from langchain_bedrock_opt.contracts import UNSENT


def may_be_billed(error: BaseException | None, *, has_begun: bool) -> bool:
    """Whether Bedrock may have billed a call of whose tokens nobody said anything.

    Args:
        error: Why it failed or was broken off; None if it finished.
        has_begun: Whether anything of the answer was heard.
    """
    if getattr(error, UNSENT, False):
        return False
    return has_begun or not isinstance(error, Exception) or was_refused(error) is False


def was_refused(error: BaseException) -> bool | None:
    return None
