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
        """Whether anybody listens to an input's run."""
        return not self._is_silent and bool(self._manager(place).handlers)

    def open(self, place: int, item: Any) -> None:
        """Open an input's run, if anybody listens.

        Raises:
            Exception: A handler does not want it to be made.
        """
        manager = self._manager(place)
        if self._is_silent or not manager.handlers:
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
        run = self._open.get(place)
        callbacks = self._manager(place) if run is None else run.get_child(f"seq:step:{number}")
        return patch_config(self._config_of(place), callbacks=callbacks)

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
