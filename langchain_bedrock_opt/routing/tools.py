"""Tools that are bound to a router: each tier's own form of them, made once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableBinding
from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_bedrock_opt.errors import ConfigurationError


class BoundTools(list[Any]):
    """The tools of a `bind_tools` call on a router.

    To everyone who looks, it is a list of tools in OpenAI's form, as chat models bind them. To
    the router it also gives what the chosen tier's own `bind_tools` makes of them. That is asked
    when the tier is first chosen, since tiers differ in the tool choices they support, and only
    once: converting a function takes longer than all the rest of a routed call.

    Args:
        tools: What the user bound.
        options: The other arguments of `bind_tools`, `tool_choice` among them.
    """

    def __init__(self, tools: Sequence[Any], options: Mapping[str, Any]) -> None:
        super().__init__(map(_readable, tools))
        self._tools = tuple(tools)
        self._options = dict(options)
        self._bindings: dict[int, RunnableBinding[Any, Any]] = {}

    @property
    def schema(self) -> Any:
        """The schema of a structured output, if the tools were bound for one."""
        structured = self._options.get("ls_structured_output_format")
        return structured.get("schema") if isinstance(structured, Mapping) else None

    def bound_to(self, model: BaseChatModel) -> RunnableBinding[Any, Any]:
        """A tier's own binding of the tools.

        Args:
            model: The tier's chat model, which keeps its binding alive and must outlive this.

        Raises:
            ConfigurationError: Its `bind_tools` gives something that can't be taken apart.
        """
        binding = self._bindings.get(id(model))
        if binding is None:
            binding = _bind(model, self._tools, self._options)
            self._bindings[id(model)] = binding
        return binding


def _bind(
    model: BaseChatModel, tools: tuple[Any, ...], options: Mapping[str, Any]
) -> RunnableBinding[Any, Any]:
    binding = model.bind_tools(tools, **options)
    if not isinstance(binding, RunnableBinding) or not isinstance(binding.bound, BaseChatModel):
        raise ConfigurationError(
            f"{type(model).__name__}.bind_tools gives {type(binding).__name__}, not a binding of "
            "a chat model: such a model can't be a tier when tools are bound."
        )
    return binding


def _readable(tool: Any) -> Any:
    """A tool in OpenAI's form; what has none (a cache point, a built-in tool) as it is."""
    try:
        return convert_to_openai_tool(tool)
    except (TypeError, ValueError):
        return tool
