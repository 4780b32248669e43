"""How many model units pay off, from what was used minute by minute.

`load` is what was used, `terms` what units and tokens cost and can do, `marginal` the rule;
`plan` holds what it comes to, which `presenting` and `figures` show. Start at
`planner.plan_throughput`.
"""

from langchain_bedrock_opt.capacity.planning.load import Load, minute_load
from langchain_bedrock_opt.capacity.planning.plan import (
    BreakEven,
    PlanOption,
    PlanRow,
    ThroughputPlan,
)
from langchain_bedrock_opt.capacity.planning.planner import plan_throughput
from langchain_bedrock_opt.capacity.planning.terms import full_unit_value

__all__ = [
    "BreakEven",
    "Load",
    "PlanOption",
    "PlanRow",
    "ThroughputPlan",
    "full_unit_value",
    "minute_load",
    "plan_throughput",
]
