"""The models a local Bedrock has: what an id resolves to, and what the control plane says.

Lives here: which ids are known (`families`), where profiles may be called from (`regions`), the
directory that resolves ids (`directory`), the `bedrock` operations that read it
(`control_plane`). Does not live here: facts about models (the catalog) or answers of models.
Start at `directory.ModelDirectory`. Tests: `tests/unit_tests/emulator/test_models.py`.
"""

from __future__ import annotations

from langchain_bedrock_opt.emulator.models.control_plane import CONTROL_PLANE
from langchain_bedrock_opt.emulator.models.directory import (
    ApplicationProfile,
    ModelDirectory,
    PromptRouter,
    ProvisionedModel,
)

__all__ = [
    "CONTROL_PLANE",
    "ApplicationProfile",
    "ModelDirectory",
    "PromptRouter",
    "ProvisionedModel",
]
