"""What calls may cost: a limit that holds before a call is made.

`budget` is the callback, `reading` what it reads of a call, `costs` the most it can cost and what
it did, `account` whose money it is, `stores` where it is counted. Start at `budget.Budget`.
"""

from langchain_bedrock_opt.usage.budget.account import BudgetStatus
from langchain_bedrock_opt.usage.budget.budget import Budget, BudgetCounts
from langchain_bedrock_opt.usage.budget.stores.base import BudgetStore
from langchain_bedrock_opt.usage.budget.stores.dynamodb import DynamoDBBudgetStore
from langchain_bedrock_opt.usage.budget.stores.memory import InMemoryBudgetStore
from langchain_bedrock_opt.usage.budget.stores.redis import RedisBudgetStore

__all__ = [
    "Budget",
    "BudgetCounts",
    "BudgetStatus",
    "BudgetStore",
    "DynamoDBBudgetStore",
    "InMemoryBudgetStore",
    "RedisBudgetStore",
]
