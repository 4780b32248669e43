"""Each form in which LangChain composes a model: a job, or a loud warning. Makes a table of it.

`BEDROCK_OPT_WRITE=1` writes the table anew to `lcel_forms.md`, which is the README's.
"""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import (
    ConfigurableField,
    RunnableBranch,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
)
from pydantic import BaseModel

from langchain_bedrock_opt.batching.chat_model import BedrockBatch
from langchain_bedrock_opt.batching.guard import FullPriceWarning
from tests.batch_models import batch_model, calls_of, inner_model, jobs_of
from tests.batch_service import HAIKU, make_batch_service

TABLE = Path(__file__).with_name("lcel_forms.md")
INPUTS = [{"text": f"What is {place} + {place}?"} for place in range(5)]
PROMPT = ChatPromptTemplate.from_messages([("system", "Be brief."), ("human", "{text}")])
TEXTS: list[Any] = [each["text"] for each in INPUTS]
PARSER = StrOutputParser()


class Sum(BaseModel):
    """The result of an addition."""

    result: int


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def _all(items: Any) -> list[Any]:
    return [item async for item in items]


@dataclass(frozen=True)
class Form:
    """One form.

    Attributes:
        code: How it is written.
        call: Does it, with a model.
        jobs: How many jobs come of it; 0 for single calls, of which a warning is due.
    """

    code: str
    call: Callable[[BedrockBatch], Any]
    jobs: int = 1


FORMS = [
    Form("model.batch(…)", lambda m: m.batch(TEXTS)),
    Form("await model.abatch(…)", lambda m: asyncio.run(m.abatch(TEXTS))),
    Form("model.batch_as_completed(…)", lambda m: list(m.batch_as_completed(TEXTS))),
    Form("model.abatch_as_completed(…)", lambda m: asyncio.run(_all(m.abatch_as_completed(TEXTS)))),
    Form("(prompt | model | parser).batch(…)", lambda m: (PROMPT | m | PARSER).batch(INPUTS)),
    Form(
        "await (prompt | model | parser).abatch(…)",
        lambda m: asyncio.run((PROMPT | m | PARSER).abatch(INPUTS)),
    ),
    Form(
        '(prompt | model).batch(…, {"max_concurrency": 2})',
        lambda m: (PROMPT | m).batch(INPUTS, {"max_concurrency": 2}),
    ),
    Form("model.bind(stop=[…]).batch(…)", lambda m: m.bind(stop=["."]).batch(TEXTS)),
    Form("model.bind_tools([…]).batch(…)", lambda m: m.bind_tools([add]).batch(TEXTS)),
    Form("model.with_config(…).batch(…)", lambda m: m.with_config(tags=["t"]).batch(TEXTS)),
    Form(
        "model.with_listeners(…).batch(…)",
        lambda m: m.with_listeners(on_end=lambda _: None).batch(TEXTS),
    ),
    Form(
        "model.with_structured_output(Schema).batch(…)",
        lambda m: m.with_structured_output(Sum).batch(TEXTS),
    ),
    Form(
        "model.with_structured_output(Schema, include_raw=True).batch(…)",
        lambda m: m.with_structured_output(Sum, include_raw=True).batch(TEXTS),
    ),
    Form("model.with_retry().batch(…)", lambda m: m.with_retry().batch(TEXTS)),
    Form("model.with_fallbacks([…]).batch(…)", lambda m: m.with_fallbacks([m.model]).batch(TEXTS)),
    Form(
        "(prompt | model).with_retry().batch(…)", lambda m: (PROMPT | m).with_retry().batch(INPUTS)
    ),
    Form("model.map().invoke([…])", lambda m: m.map().invoke(TEXTS)),
    Form(
        "model.configurable_alternatives(…).batch(…)",
        lambda m: m.configurable_alternatives(ConfigurableField("m"), other=m.model).batch(TEXTS),
    ),
    Form(
        "(RunnablePassthrough.assign(…) | prompt | model).batch(…)",
        lambda m: (RunnablePassthrough.assign(more=lambda _: 1) | PROMPT | m).batch(INPUTS),
    ),
    Form(
        "(prompt | model | step | model).batch(…)",
        lambda m: (PROMPT | m | RunnableLambda(lambda said: said.text) | m).batch(INPUTS),
        jobs=2,
    ),
    Form(
        "(prompt | model).batch_as_completed(…)",
        lambda m: list((PROMPT | m).batch_as_completed(INPUTS)),
        jobs=0,
    ),
    Form(
        "(prompt | model).abatch_as_completed(…)",
        lambda m: asyncio.run(_all((PROMPT | m).abatch_as_completed(INPUTS))),
        jobs=0,
    ),
    Form(
        "RunnableParallel(a=model).batch(…)", lambda m: RunnableParallel(a=m).batch(TEXTS), jobs=0
    ),
    Form(
        "RunnablePassthrough.assign(a=prompt | model).batch(…)",
        lambda m: RunnablePassthrough.assign(a=PROMPT | m).batch(INPUTS),
        jobs=0,
    ),
    Form(
        '({"a": prompt | model} | step).batch(…)',
        lambda m: ({"a": PROMPT | m} | RunnableLambda(lambda said: said)).batch(INPUTS),
        jobs=0,
    ),
    Form(
        "RunnableBranch((test, model), model).batch(…)",
        lambda m: RunnableBranch((lambda text: "1" in text, m), m).batch(TEXTS),
        jobs=0,
    ),
    Form(
        "RunnableLambda(lambda x: model.invoke(x)).batch(…)",
        lambda m: RunnableLambda(lambda text: m.invoke(text)).batch(TEXTS),  # noqa: PLW0108
        jobs=0,
    ),
    Form(
        'model.configurable_fields(…).batch(…, {"configurable": …})',
        lambda m: m.configurable_fields(below_minimum=ConfigurableField("below")).batch(
            TEXTS, {"configurable": {"below": "error"}}
        ),
        jobs=0,
    ),
    Form(
        "create_agent(model, […]).batch(…)",
        lambda m: create_agent(m, [add]).batch(
            [{"messages": [{"role": "user", "content": text}]} for text in TEXTS]
        ),
        jobs=0,
    ),
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.code)
def test_each_form_is_a_job_or_warns(form: Form) -> None:
    """No composition pays the full price in silence: it is a job, or it warns once."""
    service = make_batch_service()
    model = batch_model(service, inner_model(service, HAIKU))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        outputs = form.call(model)

    warned = [each for each in caught if each.category is FullPriceWarning]
    assert len(outputs) == len(INPUTS)
    assert len(jobs_of(service)) == form.jobs
    if form.jobs:
        assert warned == []
        assert calls_of(service) == 0
    else:
        assert len(warned) == 1
        assert calls_of(service) >= len(INPUTS)


def table() -> str:
    """The forms as a Markdown table."""
    lines = ["| Form | With a `BedrockBatch` |", "|---|---|"]
    for form in FORMS:
        outcome = {0: "single calls, and a warning: `as_batch(…)`", 1: "one job"}.get(
            form.jobs, f"{form.jobs} jobs"
        )
        code = form.code.replace("|", "\\|")
        lines.append(f"| `{code}` | {outcome} |")
    return "\n".join(lines) + "\n"


def test_the_table_says_what_the_forms_do() -> None:
    """The table of the documentation is the one that these tests make."""
    if os.environ.get("BEDROCK_OPT_WRITE"):
        TABLE.write_text(table(), "utf-8")

    assert TABLE.read_text("utf-8") == table()
