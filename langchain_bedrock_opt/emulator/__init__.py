"""A local Amazon Bedrock, for tests, demos and notebooks.

Lives here: the emulator (`emulator`), its engine and operations (`engine`, `questions`,
`runtime`, `control`), HTTP and event streams (`http`), what the service refuses, remembers and
throttles (`validation`, `models`, `faults`, `s3_faults`, `journal`, `quota`), what models say
(`replies`, and `families` for InvokeModel's native formats) and how fast (`timing`), invocation
jobs (`jobs`) and provisioned throughput (`throughput`). Does not live here: anything that the rest
of the package needs; only the command line and the demo start it. Start at
`emulator.BedrockEmulator`.
Tests: `tests/unit_tests/emulator` and `tests/integration_tests`.
"""

from __future__ import annotations

from langchain_bedrock_opt.emulator.emulator import BedrockEmulator
from langchain_bedrock_opt.emulator.faults import Fault, FaultPlan
from langchain_bedrock_opt.emulator.jobs.faults import JobFault, OutputFault
from langchain_bedrock_opt.emulator.jobs.settings import JobPace, JobQuotas, JobSettings
from langchain_bedrock_opt.emulator.journal import Journal, JournalEntry
from langchain_bedrock_opt.emulator.quota import Quota
from langchain_bedrock_opt.emulator.replies.delegate import DelegatingResponder
from langchain_bedrock_opt.emulator.replies.rules import RuleResponder
from langchain_bedrock_opt.emulator.replies.scripted import ScriptedResponder
from langchain_bedrock_opt.emulator.s3_faults import S3Fault
from langchain_bedrock_opt.emulator.throughput.faults import ThroughputFault
from langchain_bedrock_opt.emulator.throughput.settings import ThroughputPace, ThroughputSettings
from langchain_bedrock_opt.emulator.types import Pace, Reply, Responder, ServiceFailure

__all__ = [
    "BedrockEmulator",
    "DelegatingResponder",
    "Fault",
    "FaultPlan",
    "JobFault",
    "JobPace",
    "JobQuotas",
    "JobSettings",
    "Journal",
    "JournalEntry",
    "OutputFault",
    "Pace",
    "Quota",
    "Reply",
    "Responder",
    "RuleResponder",
    "S3Fault",
    "ScriptedResponder",
    "ServiceFailure",
    "ThroughputFault",
    "ThroughputPace",
    "ThroughputSettings",
]
