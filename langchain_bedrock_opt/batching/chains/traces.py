"""The trace of a chain that is run in stages: a run for each input, as its sequence would have.

Where nobody listens no run is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langchain_core.callbacks import CallbackManager, CallbackManagerForChainRun
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import (
    ensure_config,
    get_callback_manager_for_config,
    patch_config,
)

from langchain_bedrock_opt.batching.parts import BatchResult


class Traces:
    """The chain runs of a batch, by the inputs' places.

    Args:
        name: The chain's name.
        config_of: The config of an input, by its place.
        is_silent: Open no runs at all.
    """

    def __init__(
        self, name: str, config_of: Callable[[int], RunnableConfig], *, is_silent: bool = False
    ) -> None:
        self._name = name
        self._is_silent = is_silent
        self._config_of = config_of
        self._open: dict[int, CallbackManagerForChainRun] = {}

    def is_heard(self, place: int) -> bool:
        """Whether anybody listens to an input's run, which is open then."""
        return place in self._open

    def open(self, place: int, item: Any) -> None:
        """Open an input's run, if anybody listens.

        Raises:
            Exception: A handler does not want it to be made.
        """
        if self._is_silent:
            return
        manager = self._manager(place)
        if not manager.handlers:
            return
        config = self._config_of(place)
        self._open[place] = manager.on_chain_start(
            None,
            item,
            name=config.get("run_name") or self._name,
            run_id=config.get("run_id"),
        )

    def child(self, place: int, number: int) -> RunnableConfig:
        """The config of one step of an input's run.

        Args:
            place: The input's place.
            number: The step's number, from 1.
        """
        config = self._config_of(place)
        run = self._open.get(place)
        if run is not None:
            return patch_config(config, callbacks=run.get_child(f"seq:step:{number}"))
        # The step asks for itself who listens; making a manager here would take as long again.
        step_config = config.copy()
        step_config.pop("run_name", None)
        step_config.pop("run_id", None)
        return step_config

    def end(self, result: BatchResult) -> None:
        """End an input's run, if one is open."""
        run = self._open.pop(result.index, None)
        if run is None:
            return
        if result.error is not None:
            run.on_chain_error(result.error)
        else:
            run.on_chain_end(result.output)

    def abandon(self, error: BaseException) -> None:
        """End all runs that are still open: the batch has failed."""
        while self._open:
            _, run = self._open.popitem()
            run.on_chain_error(error)

    def _manager(self, place: int) -> CallbackManager:
        return get_callback_manager_for_config(ensure_config(self._config_of(place)))
