"""Names of durable runs, where a chain around `as_batch` hands them on."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from langchain_bedrock_opt.batching.chains import as_batch
from langchain_bedrock_opt.batching.chains.chain import Mode
from langchain_bedrock_opt.emulator import OutputFault
from tests.batch_models import batch_model, jobs_of
from tests.batch_service import BatchService, make_batch_service

ASK = ChatPromptTemplate.from_template("Say {word}")
WORDS = [{"word": f"word{number}"} for number in range(8)]
WINDOW = 0.05
NAMED: Any = {"metadata": {"bedrock_opt_run_id": "nightly"}}
MODES = ["stages", "coalesce"]


@pytest.fixture
def service(aws_environment: None) -> BatchService:
    return make_batch_service(min_records=2)


@pytest.mark.parametrize("mode", MODES)
def test_a_retry_asks_for_what_has_failed(mode: Mode, service: BatchService) -> None:
    """A named batch of a chain with `with_retry` sends its failed records once more."""
    service.emulator.jobs.faults.add(OutputFault(errors=[1, 3, 5], times=1))
    chain: Any = as_batch(ASK | batch_model(service), mode=mode, window=WINDOW)
    retrying = chain.with_retry(stop_after_attempt=3, wait_exponential_jitter=False)
    answers = retrying.batch(WORDS, NAMED)
    assert all(isinstance(answer, AIMessage) for answer in answers)
    assert len(jobs_of(service)) == 2
    assert [answer.text for answer in retrying.batch(WORDS, NAMED)] == [
        answer.text for answer in answers
    ]
    assert len(jobs_of(service)) == 2


@pytest.mark.parametrize("mode", MODES)
def test_two_batches_of_one_chain_share_a_name(mode: Mode, service: BatchService) -> None:
    """A chain of two batches has two runs under one name, and both are found again."""
    model = batch_model(service)

    def step() -> Any:
        return as_batch(ASK | model | StrOutputParser(), mode=mode, window=WINDOW)

    chain = step() | (lambda text: {"word": text}) | step()
    first = chain.batch(WORDS, NAMED)
    assert len(jobs_of(service)) == 2
    assert chain.batch(WORDS, NAMED) == first
    assert len(jobs_of(service)) == 2


@pytest.mark.parametrize("mode", MODES)
def test_a_name_that_the_chain_has_itself_is_the_run_s(mode: Mode, service: BatchService) -> None:
    """A run id that `with_config` gave the chain makes its batches durable."""
    chain: Any = (ASK | batch_model(service)).with_config(NAMED)
    for _ in range(2):
        as_batch(chain, mode=mode, window=WINDOW).batch(WORDS)
    assert len(jobs_of(service)) == 1
    assert service.keys("runs/runs/nightly/")
