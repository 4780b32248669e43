"""A local Amazon Bedrock, for tests, demos and notebooks.

Lives here: the emulator (`emulator`), its engine and operations (`engine`, `runtime`), HTTP and
event streams (`wire`, `eventstream`, `server`, `inprocess`), what the service refuses and throttles
(`validation`, `models`, `quota`, `faults`), what models say (`replies`, `scripted`, `delegate`,
`invoke`) and how fast (`timing`). Does not live here: anything the rest of the package imports; only
the command line and the demo start it. Start at `emulator.BedrockEmulator`.
Tests: `tests/unit_tests/emulator` and `tests/integration_tests`.
"""

from __future__ import annotations

from langchain_bedrock_opt.emulator.delegate import DelegatingResponder
from langchain_bedrock_opt.emulator.emulator import BedrockEmulator
from langchain_bedrock_opt.emulator.faults import Fault, FaultPlan
from langchain_bedrock_opt.emulator.journal import Journal, JournalEntry
from langchain_bedrock_opt.emulator.quota import Quota
from langchain_bedrock_opt.emulator.replies import RuleResponder
from langchain_bedrock_opt.emulator.scripted import ScriptedResponder
from langchain_bedrock_opt.emulator.types import Pace, Reply, Responder, ServiceFailure

__all__ = [
    "BedrockEmulator",
    "DelegatingResponder",
    "Fault",
    "FaultPlan",
    "Journal",
    "JournalEntry",
    "Pace",
    "Quota",
    "Reply",
    "Responder",
    "RuleResponder",
    "ScriptedResponder",
    "ServiceFailure",
]
