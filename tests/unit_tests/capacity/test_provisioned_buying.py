"""One purchase, whatever happens: kills, lost answers, lists that lag, two processes at once."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_bedrock_opt.capacity.provisioned.manager import ProvisionedThroughputManager
from langchain_bedrock_opt.capacity.provisioned.temporary import TemporaryThroughput
from langchain_bedrock_opt.emulator import ThroughputPace
from langchain_bedrock_opt.errors import CapacityError, PurchaseError
from tests.faulty_clients import FaultyClient, lost_answer, service_says
from tests.provisioned_fates import (
    CTRL_C,
    DEATHS,
    NOVA_24K,
    TROUBLES,
    Fate,
    FatedClient,
    Killed,
    RetoldClient,
    fated,
    manager_of,
    without_length,
)
from tests.throughput_service import ThroughputService, make_throughput_service

Scenario = Callable[[ProvisionedThroughputManager], str]


def bought(manager: ProvisionedThroughputManager) -> str:
    """Buy and wait; the ARN."""
    throughput = manager.create(NOVA_24K, name="prod", units=2, confirm=True)
    return manager.wait(throughput).arn


def committed(manager: ProvisionedThroughputManager) -> str:
    """The same for a month."""
    throughput = manager.create(NOVA_24K, name="prod", commitment="OneMonth", confirm=True)
    return manager.wait(throughput).arn


def used(manager: ProvisionedThroughputManager) -> str:
    """Have one for the length of a block, which looks at it; the ARN."""
    with manager.temporary(NOVA_24K, name="load", confirm=True) as throughput:
        return manager.get(throughput).arn


@pytest.fixture(autouse=True)
def _no_exit_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was killed does nothing at the end of the tests' own process."""
    monkeypatch.setattr(atexit, "register", lambda _hook: None)


def service() -> ThroughputService:
    """One whose throughputs are seen in Creating once: managers look each minute."""
    return make_throughput_service(pace=ThroughputPace(creating=60))


def steps_of(scenario: Scenario) -> int:
    """How many calls a scenario makes where nothing happens."""
    local = service()
    client = fated(local, {})
    scenario(manager_of(local, client))
    return len(client.calls)


def live(local: ThroughputService) -> list[str]:
    return [state.name for state in local.emulator.throughput.list()]


def test_a_purchase_that_is_killed_at_any_step_is_made_once() -> None:
    """Before and after each request of buying and waiting, death and a restart: one purchase."""
    for step in range(steps_of(committed)):
        for death in DEATHS:
            local = service()
            with pytest.raises(Killed):
                committed(manager_of(local, fated(local, {step: death})))

            arn = committed(manager_of(local))

            assert local.emulator.throughput.purchases == 1, (step, death.name)
            assert local.get(arn)["status"] == "InService"


def test_a_temporary_one_that_is_killed_at_any_step_is_never_left_behind() -> None:
    """Before and after each request round a block, death and the next block: one, then none."""
    steps = steps_of(used)
    for step in range(steps):
        for death in DEATHS:
            local = service()
            with pytest.raises(Killed):
                used(manager_of(local, fated(local, {step: death})))
            was_deleted = step == steps - 1 and death.is_done

            used(manager_of(local))

            # One that had just been deleted is bought anew: the block is to be run again.
            assert local.emulator.throughput.purchases == (2 if was_deleted else 1), step
            assert live(local) == []


@pytest.mark.parametrize("scenario", [committed, used])
def test_trouble_at_any_step_passes(scenario: Scenario) -> None:
    """Throttles and lost answers at each request: one purchase, and no error."""
    for step in range(steps_of(scenario)):
        for trouble in TROUBLES[:2]:  # the others are of the same two kinds
            local = service()

            scenario(manager_of(local, fated(local, {step: trouble})))

            assert local.emulator.throughput.purchases == 1, (step, trouble.name)
            assert len(live(local)) == (0 if scenario is used else 1)


def test_ctrl_c_at_any_step_of_a_block_leaves_nothing_behind() -> None:
    """Before and after each request round a block, Ctrl-C is raised on, and nothing is left."""
    steps = steps_of(used)
    for step in range(steps):
        for interrupt in CTRL_C:
            local = service()
            context: list[TemporaryThroughput] = []
            manager = manager_of(local, fated(local, {step: interrupt}))
            with pytest.raises(KeyboardInterrupt), _remembered(manager, context) as throughput:
                manager.get(throughput)

            if step == steps - 1:  # the deletion itself was broken off: the process's end is left
                context[0]._at_exit()

            assert live(local) == [], (step, interrupt.name)


def _remembered(
    manager: ProvisionedThroughputManager, context: list[TemporaryThroughput]
) -> TemporaryThroughput:
    context.append(manager.temporary(NOVA_24K, name="load", confirm=True))
    return context[0]


@settings(max_examples=20, deadline=None)
@given(
    fates=st.lists(
        st.lists(st.sampled_from([None, None, *TROUBLES, *DEATHS]), max_size=8), max_size=3
    ),
    scenario=st.sampled_from([committed, used]),
)
def test_any_run_of_bad_luck_ends_in_one_purchase(
    fates: list[list[Fate | None]], scenario: Scenario
) -> None:
    """Processes that meet any troubles and deaths, one after the other, have one at a time."""
    local = service()
    for luck in fates:
        client = fated(local, {number: fate for number, fate in enumerate(luck) if fate})
        with suppress(Killed, CapacityError):  # the latter after minutes of trouble
            scenario(manager_of(local, client))
        assert len(live(local)) <= 1
    scenario(manager_of(local))

    assert len(live(local)) == (0 if scenario is used else 1)
    if scenario is committed:
        assert local.emulator.throughput.purchases == 1


class Lagging:
    """A control plane that shows what is new only after some looks, and then all at once."""

    def __init__(self, client: Any, looks: int) -> None:
        self._client = client
        self._left = looks
        self.meta = client.meta

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._client, operation)

    def list_provisioned_model_throughputs(self, **request: Any) -> dict[str, Any]:
        self._left -= 1
        return self._client.list_provisioned_model_throughputs(**request) if self._left < 0 else {}

    def get_provisioned_model_throughput(self, **request: Any) -> dict[str, Any]:
        self._left -= 1
        if self._left >= 0:
            raise service_says("ResourceNotFoundException", 404)
        answer: dict[str, Any] = self._client.get_provisioned_model_throughput(**request)
        return answer


@pytest.mark.parametrize("looks", [1, 2, 3, 4])
def test_a_list_that_lags_behind_buys_nothing_twice(looks: int) -> None:
    """Where an answer is lost and no list shows the purchase yet, the token finds it."""
    local = service()
    client = FaultyClient(Lagging(local.bedrock, looks))
    client.lose("create_provisioned_model_throughput", lost_answer(), lost_answer())

    arn = bought(manager_of(local, client))

    assert [state.arn for state in local.emulator.throughput.list()] == [arn]
    assert local.emulator.throughput.purchases == 1


@pytest.mark.parametrize("looks", [1, 3, 5])
def test_a_list_that_lags_behind_a_kill_leaves_nothing_behind(looks: int) -> None:
    """A block that is killed with its purchase sent is taken over before a list shows it."""
    local = service()
    creation = Fate("killed after", Killed, is_done=True)
    with pytest.raises(Killed):
        used(manager_of(local, fated(local, {2: creation})))  # after two lists
    assert local.emulator.throughput.purchases == 1

    used(manager_of(local, Lagging(local.bedrock, looks)))

    assert local.emulator.throughput.purchases == 1
    assert live(local) == []


def test_a_refusal_after_a_lost_answer_leaves_nothing_behind() -> None:
    """If the first try was made unseen, and the next is refused, the first is looked for."""
    local = service()
    no = Fate("refused", lambda: service_says("AccessDeniedException", 403))
    # Two lists, the purchase, a list, the purchase again.
    client = FatedClient(Lagging(local.bedrock, 4), {2: TROUBLES[1], 4: no}.get)

    with pytest.raises(PurchaseError, match=r"AccessDenied.*may have been bought all the same"):
        used(manager_of(local, client))

    assert local.emulator.throughput.purchases == 1
    assert live(local) == []


def test_a_list_that_still_shows_a_deleted_one_does_not_give_it_back() -> None:
    """What this process has deleted is not taken for a purchase, though a list lags behind."""
    local = service()

    class Old(FaultyClient):
        def list_provisioned_model_throughputs(self, **request: Any) -> Any:
            return old or local.bedrock.list_provisioned_model_throughputs(**request)

    old: dict[str, Any] = {}
    manager = manager_of(local, Old(local.bedrock))
    first = manager.wait(manager.create(NOVA_24K, name="prod", confirm=True))
    old = local.bedrock.list_provisioned_model_throughputs()
    manager.delete("prod")

    again = manager.create(NOVA_24K, name="prod", token="again", confirm=True)

    assert again.arn != first.arn
    assert manager.wait(again).is_in_service


@pytest.mark.parametrize("scenario", [bought, used])
def test_a_model_that_is_told_without_its_context_length_is_the_one(scenario: Scenario) -> None:
    """If AWS leaves out the `:24k` that was bought, the purchase is known all the same."""
    local = service()

    for _ in range(2):
        scenario(manager_of(local, RetoldClient(local.bedrock, without_length)))

    assert local.emulator.throughput.purchases == (2 if scenario is used else 1)
    assert len(live(local)) == (0 if scenario is used else 1)


def _in_other_words(told: dict[str, Any]) -> None:
    told["modelArn"] = told["desiredModelArn"] = f"{told['modelArn']}-as-aws-calls-it"


def test_a_purchase_of_a_model_with_another_name_is_not_forgotten() -> None:
    """If AWS gives the model a name that nobody knows, a block deletes what it has bought."""
    local = service()

    with pytest.raises(PurchaseError, match=r"is bought, and bills, but serves .*-as-aws-calls-it"):
        used(manager_of(local, RetoldClient(local.bedrock, _in_other_words)))

    assert local.emulator.throughput.purchases == 1
    assert live(local) == []


def test_a_purchase_of_a_model_with_another_name_is_told_with_its_arn() -> None:
    """`create` says what was bought, and does not advise to buy another one."""
    local = service()

    with pytest.raises(PurchaseError, match=r"use it by its ARN, or delete it") as caught:
        bought(manager_of(local, RetoldClient(local.bedrock, _in_other_words)))

    assert caught.value.arn == local.emulator.throughput.list()[0].arn
    assert "another" not in str(caught.value)


def test_two_of_one_name_are_both_deleted() -> None:
    """If AWS lets two have a block's name, the next block leaves neither behind."""
    local = service()
    for name in ("bedrock-opt-temporary-load", "twin"):
        local.create(name, modelId=NOVA_24K)

    def twins(told: dict[str, Any]) -> None:
        told["provisionedModelName"] = "bedrock-opt-temporary-load"

    class Everybody(RetoldClient):
        def list_provisioned_model_throughputs(self, **_request: Any) -> Any:
            return self.__getattr__("list_provisioned_model_throughputs")()

    used(manager_of(local, Everybody(local.bedrock, twins)))

    assert local.emulator.throughput.purchases == 2
    assert live(local) == []


def test_two_processes_at_once_make_one_purchase() -> None:
    """Two that both have seen nothing of that name send one token, and get one ARN."""
    local = service()
    both = Barrier(2)

    class Racing(FaultyClient):
        def create_provisioned_model_throughput(self, **request: Any) -> Any:
            both.wait(10)
            return local.bedrock.create_provisioned_model_throughput(**request)

    with ThreadPoolExecutor(2) as threads:
        arns = set(
            threads.map(lambda _: bought(manager_of(local, Racing(local.bedrock))), range(2))
        )

    assert len(arns) == local.emulator.throughput.purchases == 1


def test_each_try_sends_the_same_token() -> None:
    """Tries, processes and days later, the token is one; another purchase has another."""
    local = service()
    client = FaultyClient(local.bedrock)
    client.fail("create_provisioned_model_throughput", *(lost_answer() for _ in range(3)))
    manager = manager_of(local, client)

    bought(manager)
    manager.create(NOVA_24K, name="prod-2", confirm=True)

    sent = client.requests["create_provisioned_model_throughput"]
    tokens = [request["clientRequestToken"] for request in sent]
    assert len(tokens) == 5
    assert len(set(tokens)) == 2
    assert len(set(tokens[:4])) == 1


def test_an_outage_that_does_not_end_says_that_it_may_be_bought() -> None:
    """After minutes without an answer the error says to call again, and that buys nothing twice."""
    local = service()
    client = FaultyClient(local.bedrock)
    client.lose("create_provisioned_model_throughput", lost_answer())
    client.fail(
        "list_provisioned_model_throughputs", *[service_says("InternalServerException", 500)] * 99
    )
    with pytest.raises(CapacityError, match="for some minutes"):
        bought(manager_of(local, client))
    assert local.emulator.throughput.purchases == 0  # not looked through: nothing was bought
    client = FaultyClient(local.bedrock)
    client.fail("create_provisioned_model_throughput", *(lost_answer() for _ in range(99)))
    with pytest.raises(PurchaseError, match="may have been bought all the same: call again"):
        bought(manager_of(local, client))

    bought(manager_of(local))

    assert local.emulator.throughput.purchases == 1


def test_an_outage_after_a_lost_answer_says_that_it_may_be_bought() -> None:
    """If nobody may look after a try without an answer, the error says what may be there."""
    local = service()

    class Down(FaultyClient):
        def create_provisioned_model_throughput(self, **request: Any) -> Any:
            self.fail(
                "list_provisioned_model_throughputs", service_says("AccessDeniedException", 403)
            )
            local.bedrock.create_provisioned_model_throughput(**request)
            raise lost_answer()

    with pytest.raises(PurchaseError, match="It may have been bought all the same"):
        bought(manager_of(local, Down(local.bedrock)))

    bought(manager_of(local))
    assert local.emulator.throughput.purchases == 1


def test_tags_are_no_part_of_what_is_bought() -> None:
    """A restart with other tags, such as its own start time, finds the purchase it has made."""
    local = service()
    client = FaultyClient(Lagging(local.bedrock, 1))
    first = manager_of(local).create(NOVA_24K, name="prod", tags={"Run": "1"}, confirm=True)

    again = manager_of(local, client).create(NOVA_24K, name="prod", tags={"Run": "2"}, confirm=True)

    assert again.arn == first.arn
    assert client.calls["create_provisioned_model_throughput"] == 1  # refused, then found
    assert local.emulator.throughput.purchases == 1


def test_what_was_deleted_is_not_bought_again_unasked() -> None:
    """AWS gives back the ARN of one that is gone: the error says to pass a token, which works."""
    local = service()
    manager = manager_of(local)
    manager.wait(manager.create(NOVA_24K, name="prod", confirm=True))
    manager.delete("prod")

    for restarted in (manager, manager_of(local)):
        with pytest.raises(PurchaseError, match=r"not there any more.*pass token= with a text"):
            restarted.create(NOVA_24K, name="prod", confirm=True)
    another = [manager.create(NOVA_24K, name="prod", token="prod-2", confirm=True) for _ in "ab"]

    assert another[0].arn == another[1].arn
    assert local.emulator.throughput.purchases == 2


def test_one_that_was_renamed_is_not_taken_for_another_purchase() -> None:
    """A purchase repeated after a renaming buys nothing, and says what the token stands for."""
    local = service()
    manager = manager_of(local)
    manager.rename(manager.wait(manager.create(NOVA_24K, name="prod", confirm=True)), "blue")

    with pytest.raises(
        PurchaseError, match=r"which is called blue. To buy another one, pass token"
    ):
        manager.create(NOVA_24K, name="prod", confirm=True)

    assert local.emulator.throughput.purchases == 1


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"units": 1}, "has 2 units, not 1"),
        ({"model": "amazon.nova-lite-v1:0:300k"}, "serves .*:24k, not .*:300k"),
        ({"commitment": "SixMonths"}, "has commitment None, not SixMonths"),
    ],
)
def test_a_name_that_another_one_has_is_refused(other: dict[str, Any], says: str) -> None:
    """One of the same name with another model, units or commitment is neither taken nor bought."""
    local = service()
    manager = manager_of(local)
    bought(manager)

    with pytest.raises(PurchaseError, match=rf"name prod is taken by arn:.*{says}") as caught:
        manager.create(**{"model": NOVA_24K, "name": "prod", "units": 2, "confirm": True, **other})

    assert caught.value.arn is not None
    assert local.emulator.throughput.purchases == 1


def test_an_account_that_may_not_be_listed_buys_nothing() -> None:
    """Without permission to look for an earlier purchase there is no purchase."""
    local = service()
    client = FaultyClient(local.bedrock)
    client.fail(
        "list_provisioned_model_throughputs", service_says("AccessDeniedException", 403, "No")
    )

    with pytest.raises(CapacityError, match=r"Allow bedrock:Create.*ListProvisionedModel"):
        bought(manager_of(local, client))

    assert local.emulator.throughput.purchases == 0


def test_one_that_may_not_be_seen_is_told_to_be_billed() -> None:
    """Bought, but not to be looked at: the error has its ARN."""
    local = service()
    client = FaultyClient(local.bedrock)
    client.fail("get_provisioned_model_throughput", service_says("AccessDeniedException", 403))

    with pytest.raises(PurchaseError, match="is bought, and billed") as caught:
        bought(manager_of(local, client))

    assert caught.value.arn == local.emulator.throughput.list()[0].arn


def test_an_account_without_units_is_told_where_to_ask() -> None:
    """AWS's refusal for want of units comes with what to do."""
    local = make_throughput_service(account_units=0)

    with pytest.raises(PurchaseError, match="An account has no model units until AWS grants some"):
        bought(manager_of(local))
