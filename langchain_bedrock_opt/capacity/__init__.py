"""Capacity: bought, planned, chosen call by call, and never asked for more than there is.

Lives here: provisioned throughput (`provisioned`: buy, wait, use, delete), its planner
(`planning`), the lanes a call may take (`lanes`: service tier, latency-optimized inference,
effort, overflow from provisioned throughput to on-demand), admission control (`admission`).
Does not live here: what a model unit can do and which models offer what (`catalog`), prices
(`catalog`), the local Bedrock's own throughput (`emulator`), boto3 clients (`aws`).
Start at `provisioned.manager.ProvisionedThroughputManager`. Tests: `tests/unit_tests/capacity`
and `tests/integration_tests/capacity`.
"""

from langchain_bedrock_opt.capacity.admission.quota import TokenQuota
from langchain_bedrock_opt.capacity.lanes.lane import Lane
from langchain_bedrock_opt.capacity.lanes.overflow import Overflow
from langchain_bedrock_opt.capacity.lanes.overflow_model import overflow_model
from langchain_bedrock_opt.capacity.planning.load import minute_load
from langchain_bedrock_opt.capacity.planning.plan import ThroughputPlan
from langchain_bedrock_opt.capacity.planning.planner import plan_throughput
from langchain_bedrock_opt.capacity.provisioned.manager import ProvisionedThroughputManager
from langchain_bedrock_opt.capacity.provisioned.records import ProvisionedThroughput
from langchain_bedrock_opt.catalog.model_units import UnitCapacity

__all__ = [
    "Lane",
    "Overflow",
    "ProvisionedThroughput",
    "ProvisionedThroughputManager",
    "ThroughputPlan",
    "TokenQuota",
    "UnitCapacity",
    "minute_load",
    "overflow_model",
    "plan_throughput",
]
