"""The handler of a `with` block inside another one."""

from __future__ import annotations

from typing import Any

from langchain_bedrock_opt.usage.recording.blocks import Block
from langchain_bedrock_opt.usage.recording.callback import BedrockUsageCallbackHandler


class NestedUsageCallbackHandler(BedrockUsageCallbackHandler):
    """The handler of a block inside a block: the one LangChain sees, so it tells the outer one.

    The outer handler may hear of the same run from LangChain too, if a chain inherited it. It
    knows runs by their id, so each counts once all the same.

    Args:
        around: The block around; once it is closed, it is told of no new run.
        settings: As `BedrockUsageCallbackHandler` takes them.
    """

    def __init__(self, around: Block, *settings: Any, **named: Any) -> None:
        super().__init__(*settings, **named)
        self._around = around
        self._outer = outer = around.handler
        # Chains are left out only if neither of the two listens to them.
        ignores = self.ignore_chain and outer.ignore_chain
        self.ignore_chain = self.ignore_agent = self.ignore_retriever = ignores

    def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
        """Tell both."""
        super().on_chain_start(*args, **kwargs)
        self._outer.on_chain_start(*args, **kwargs)

    def on_chain_end(self, *args: Any, **kwargs: Any) -> None:
        """Tell both."""
        super().on_chain_end(*args, **kwargs)
        self._outer.on_chain_end(*args, **kwargs)

    def on_chain_error(self, *args: Any, **kwargs: Any) -> None:
        """Tell both."""
        super().on_chain_error(*args, **kwargs)
        self._outer.on_chain_error(*args, **kwargs)

    on_tool_start = on_retriever_start = on_chain_start
    on_tool_end = on_retriever_end = on_chain_end
    on_tool_error = on_retriever_error = on_chain_error

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        """Tell both, if the outer block is open."""
        super().on_chat_model_start(*args, **kwargs)
        if self._around.is_open:
            self._outer.on_chat_model_start(*args, **kwargs)

    def on_llm_start(self, *args: Any, **kwargs: Any) -> None:
        """Tell both, if the outer block is open."""
        super().on_llm_start(*args, **kwargs)
        if self._around.is_open:
            self._outer.on_llm_start(*args, **kwargs)

    def on_llm_new_token(self, *args: Any, **kwargs: Any) -> None:
        """Tell both."""
        super().on_llm_new_token(*args, **kwargs)
        self._outer.on_llm_new_token(*args, **kwargs)

    def on_llm_end(self, *args: Any, **kwargs: Any) -> None:
        """Tell both."""
        super().on_llm_end(*args, **kwargs)
        self._outer.on_llm_end(*args, **kwargs)

    def on_cancel(self, *args: Any, **kwargs: Any) -> None:
        """Tell both."""
        super().on_cancel(*args, **kwargs)
        self._outer.on_cancel(*args, **kwargs)

    def on_llm_error(self, *args: Any, **kwargs: Any) -> None:
        """Tell both."""
        super().on_llm_error(*args, **kwargs)
        self._outer.on_llm_error(*args, **kwargs)
