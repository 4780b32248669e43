"""Callbacks that look on while a call is made: what was streamed of it, and what it came to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs

AGREEMENT_TAG: Final = "agreement"
"""Tag of the runs whose answers are only compared."""


class _Watch(BaseCallbackHandler):
    """A callback that is called where the call is made, and asks for nothing to be made for it."""

    run_inline = True

    def on_chat_model_start(self, *_args: Any, **_kwargs: Any) -> None:
        """Nothing; a handler without this has LangChain make a text of the whole prompt for it."""


class TokenWatch(_Watch):
    """Notes whether a call's tokens are being streamed to somebody while it runs.

    LangChain streams an `invoke` under the hood where a callback wants to see tokens, or the
    events of version 3.
    """

    def __init__(self) -> None:
        self.has_seen_token = False

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:  # noqa: ARG002 - LangChain's
        """Note a token."""
        self.has_seen_token = True

    def on_stream_event(self, event: Any, **kwargs: Any) -> None:  # noqa: ARG002 - LangChain's
        """Note an event of version 3."""
        self.has_seen_token = True


class AnswerWatch(_Watch):
    """Keeps the answer of a call whose outcome does not show it.

    Args:
        config: The call's config, which says whether its answer is only compared.
    """

    def __init__(self, config: RunnableConfig) -> None:
        self.answer: AIMessage | None = None
        self._is_compared = AGREEMENT_TAG in (config.get("tags") or ())

    def on_llm_end(
        self,
        response: LLMResult,
        *,
        tags: Sequence[str] | None = None,
        **kwargs: Any,  # noqa: ARG002 - LangChain's
    ) -> None:
        """Keep the answer; the last one is the call's, save those it was compared with."""
        if (AGREEMENT_TAG in (tags or ())) == self._is_compared:
            generation = cast("ChatGeneration", response.generations[0][0])
            self.answer = cast("AIMessage", generation.message)


def watched(config: RunnableConfig, watch: BaseCallbackHandler) -> RunnableConfig:
    """A config with one callback more.

    Args:
        config: The call's config.
        watch: The callback.
    """
    joined = merge_configs(
        {"callbacks": config.get("callbacks")}, RunnableConfig(callbacks=[watch])
    )
    return {**config, "callbacks": joined["callbacks"]}
