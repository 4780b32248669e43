"""`temporary`: provisioned throughput for a `with` block, deleted whatever happens."""

from __future__ import annotations

import logging
import math
import sys
from datetime import timedelta
from typing import Any

import pytest

from langchain_bedrock_opt.capacity.provisioned.purchase import TEMPORARY
from langchain_bedrock_opt.emulator import ThroughputPace
from langchain_bedrock_opt.errors import (
    CapacityError,
    ConfigurationError,
    PurchaseError,
    UnconfirmedPurchaseError,
)
from tests.faulty_clients import FaultyClient, service_says
from tests.provisioned_fates import CTRL_C, NOVA_24K, FatedClient, RetoldClient, manager_of
from tests.throughput_service import (
    DAY,
    TAKES_MINUTES,
    ThroughputService,
    make_throughput_service,
)

NAME = f"{TEMPORARY}load"
DELETE = "delete_provisioned_model_throughput"


@pytest.fixture(autouse=True)
def _no_exit_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that are left open on purpose do nothing at the end of the tests."""
    monkeypatch.setattr("atexit.register", lambda _hook: None)


@pytest.fixture
def service() -> ThroughputService:
    return make_throughput_service(pace=TAKES_MINUTES)


def use(service: ThroughputService, client: Any = None, **settings: Any) -> str:
    """Have one for a block; its ARN."""
    with manager_of(service, client).temporary(
        **{"model": NOVA_24K, "name": "load", "confirm": True, **settings}
    ) as throughput:
        return throughput.arn


def left(service: ThroughputService) -> list[str]:
    return [state.name for state in service.emulator.throughput.list()]


def test_a_block_has_one_in_service_and_leaves_none(service: ThroughputService) -> None:
    """It is bought and waited for on entry, told of at each look, and deleted on exit."""
    told: list[str] = []
    manager = manager_of(service)

    with manager.temporary(
        NOVA_24K,
        name="load",
        units=3,
        confirm=True,
        progress=lambda seen: told.append(seen.status),
    ) as throughput:
        assert throughput.is_in_service
        assert (throughput.name, throughput.units) == (NAME, 3)
        assert left(service) == [NAME]

    assert left(service) == []
    assert told == ["Creating"] * 5 + ["InService"]


def test_an_error_of_the_block_comes_out_as_it_is(service: ThroughputService) -> None:
    """After an exception in the block it is deleted, too, and the exception goes on."""
    error = ValueError("the user's own")

    block = manager_of(service).temporary(NOVA_24K, name="load", confirm=True)
    with pytest.raises(ValueError, match="own") as caught, block:
        raise error

    assert caught.value is error
    assert left(service) == []


def test_nothing_is_bought_without_confirm(service: ThroughputService) -> None:
    """Without `confirm=True` there is not even a context manager."""
    with pytest.raises(UnconfirmedPurchaseError, match=f"as '{NAME}', with no commitment"):
        use(service, confirm=False)

    assert service.emulator.throughput.purchases == 0


def test_a_name_must_leave_room_for_what_marks_it(service: ThroughputService) -> None:
    """A name that is too long with the mark of temporary ones is refused before a purchase."""
    with pytest.raises(ConfigurationError, match="up to 63 letters and digits"):
        use(service, name="x" * 42)


def test_one_that_fails_is_deleted(service: ThroughputService) -> None:
    """If AWS can't provide it, the block is not entered, the reason is told, nothing is left."""
    service.fail(message="Insufficient capacity in the region")

    with pytest.raises(PurchaseError, match=r"is Failed: Insufficient.*AWS has no capacity for it"):
        use(service)

    assert left(service) == []


def test_one_that_takes_too_long_is_deleted_as_soon_as_it_can_be() -> None:
    """AWS deletes none while it is Creating: after the timeout that is waited for."""
    service = make_throughput_service(pace=ThroughputPace(creating=700))

    with pytest.raises(CapacityError, match="is still Creating after 600 seconds"):
        use(service, timeout=600)

    assert left(service) == []
    assert service.emulator.throughput.purchases == 1


def test_one_that_can_not_be_deleted_is_told_to_bill(service: ThroughputService) -> None:
    """What is not deleted in time is an error with its ARN, which says that it still bills."""
    client = FaultyClient(service.bedrock)
    client.fail(DELETE, *[service_says("InternalServerException", 500)] * 1000)

    with pytest.raises(CapacityError, match="is not deleted, and still bills") as caught:
        use(service, client)

    assert left(service) == [NAME]
    assert caught.value.arn == service.emulator.throughput.list()[0].arn


def test_a_deletion_that_fails_hides_no_error_of_the_block(
    service: ThroughputService, caplog: pytest.LogCaptureFixture
) -> None:
    """The block's own error is raised; that one still bills is logged, and among its notes."""
    client = FaultyClient(service.bedrock)
    client.fail(DELETE, service_says("AccessDeniedException", 403))

    block = manager_of(service, client).temporary(NOVA_24K, name="load", confirm=True)
    with pytest.raises(KeyError, match="own") as caught, block:
        raise KeyError("own")

    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "still bills. Operation failed (AccessDeniedException)" in record.message
    if sys.version_info >= (3, 11):
        assert caught.value.__notes__ == [record.message]


def test_throttles_and_conflicts_of_a_deletion_pass(service: ThroughputService) -> None:
    """A deletion is asked for again, minute after minute, until it is done."""
    client = FaultyClient(service.bedrock)
    client.fail(
        DELETE,
        service_says("ThrottlingException", 429),
        service_says("ConflictException", 400),
        *[service_says("InternalServerException", 500)] * 20,
    )

    use(service, client)

    assert left(service) == []


def test_what_a_killed_process_left_is_taken_over(service: ThroughputService) -> None:
    """The next block of the same name uses it, days later too, and deletes it."""
    killed = manager_of(service).temporary(NOVA_24K, name="load", confirm=True)
    forgotten = killed.__enter__()
    service.clock.sleep(2 * DAY)

    assert use(service) == forgotten.arn

    assert left(service) == []
    assert service.emulator.throughput.purchases == 1
    killed.__exit__(None, None, None)  # it is gone: no error


def test_one_for_good_is_never_taken_over(service: ThroughputService) -> None:
    """One that was bought by `create` under the same short name is left alone."""
    manager = manager_of(service)
    manager.create(NOVA_24K, name="load", confirm=True)

    use(service)

    assert left(service) == ["load"]


def test_names_of_temporary_ones_are_for_them_alone(service: ThroughputService) -> None:
    """`create` and `rename` take no name that a block would take over and delete."""
    manager = manager_of(service)
    with pytest.raises(ConfigurationError, match=r"are those of temporary\(\)"):
        manager.create(NOVA_24K, name=NAME, confirm=True)
    with pytest.raises(ConfigurationError, match=r"are those of temporary\(\)"):
        manager.rename("prod", NAME)


def test_one_of_another_kind_in_the_way_is_left_alone(service: ThroughputService) -> None:
    """A block that wants other units than one of its name has does not delete that."""
    other = manager_of(service).temporary(NOVA_24K, name="load", units=2, confirm=True)
    with other:
        with pytest.raises(PurchaseError, match="has 2 units, not 1"):
            use(service)
        assert left(service) == [NAME]


def test_one_that_was_renamed_to_be_kept_is_kept(service: ThroughputService) -> None:
    """A token that now stands for one with another name buys a new one, and deletes only that."""
    manager = manager_of(service)
    kept = manager.temporary(NOVA_24K, name="load", confirm=True).__enter__()
    manager.rename(kept, "prod")
    service.clock.sleep(600)

    assert use(service) != kept.arn

    assert left(service) == ["prod"]


def test_a_failed_one_in_the_way_is_deleted(service: ThroughputService) -> None:
    """What a killed process left, and then failed, does not keep the next block out."""
    service.fail()
    service.create(NAME, modelId=NOVA_24K)
    service.clock.sleep(600)

    use(service)

    assert left(service) == []
    assert service.emulator.throughput.purchases == 2


def test_a_block_may_come_again_on_the_same_day(service: ThroughputService) -> None:
    """AWS remembers tokens of what is gone: each block gets one of its own all the same."""
    manager = manager_of(service)
    arns = set()
    for _ in range(3):
        with manager.temporary(NOVA_24K, name="load", confirm=True) as throughput:
            arns.add(throughput.arn)
    arns.add(use(service))  # another process, which has not seen those go

    assert len(arns) == service.emulator.throughput.purchases == 4
    assert left(service) == []


def test_the_blocks_of_a_day_do_not_wait_for_one_another() -> None:
    """The tenth block of a day is bought as fast as the first, by one request."""
    service = make_throughput_service()
    for _ in range(10):
        use(service)

    assert service.clock.slept == []
    assert service.emulator.journal.count("CreateProvisionedModelThroughput") == 10


def test_other_tags_on_the_same_day_are_no_hindrance(service: ThroughputService) -> None:
    """A token that AWS knows with other tags, of one that is gone, is not in the way."""
    use(service, tags={"Run": "1"})
    use(service, tags={"Run": "2"})

    assert service.emulator.throughput.purchases == 2
    assert left(service) == []


def test_one_that_somebody_else_has_deleted_is_no_error(service: ThroughputService) -> None:
    """An exit that finds nothing left to delete is a good one."""
    manager = manager_of(service)
    with manager.temporary(NOVA_24K, name="load", confirm=True) as throughput:
        manager.delete(throughput)

    assert left(service) == []


def test_a_forked_process_leaves_it_to_its_parent(
    service: ThroughputService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that comes out of the block deletes nothing."""
    context = manager_of(service).temporary(NOVA_24K, name="load", confirm=True)
    with context, monkeypatch.context() as child:
        child.setattr("os.getpid", lambda: -1)
        context.__exit__(None, None, None)
        context._at_exit()

        assert left(service) == [NAME]
    assert left(service) == []


def test_the_end_of_the_process_is_the_last_chance(
    service: ThroughputService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What was not deleted on exit is tried again when the process ends, and told if it fails."""
    hooks: list[Any] = []
    monkeypatch.setattr("atexit.register", hooks.append)
    monkeypatch.setattr("atexit.unregister", hooks.remove)
    client = FaultyClient(service.bedrock)
    client.fail(DELETE, *[service_says("AccessDeniedException", 403)] * 2)
    with pytest.raises(CapacityError, match="still bills"):
        use(service, client)

    hooks[0]()
    assert "still bills" in caplog.text
    hooks[0]()

    assert left(service) == []
    assert hooks == []


def test_a_second_ctrl_c_leaves_the_deletion_to_the_end_of_the_process(
    service: ThroughputService,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """While it is Creating AWS deletes nothing: the end waits for that, and says so on stderr."""
    hooks: list[Any] = []
    monkeypatch.setattr("atexit.register", hooks.append)
    monkeypatch.setattr("atexit.unregister", hooks.remove)
    interrupts = iter([KeyboardInterrupt(), KeyboardInterrupt()])

    def ctrl_c() -> None:
        for interrupt in interrupts:
            raise interrupt

    manager = manager_of(service, before_sleep=ctrl_c)
    with (
        pytest.raises(KeyboardInterrupt),
        manager.temporary(NOVA_24K, name="load", confirm=True),
    ):
        raise AssertionError
    (state,) = service.emulator.throughput.list()
    assert state.status == "Creating"

    hooks[0]()

    assert left(service) == []
    assert f"{state.arn} is being deleted, as soon as AWS allows it" in capsys.readouterr().err
    assert hooks == []


def test_an_exit_that_breaks_hides_no_error_of_the_block(
    service: ThroughputService, caplog: pytest.LogCaptureFixture
) -> None:
    """Where a clock or sleep of the user's fails on exit, the block's error is raised."""
    client = FaultyClient(service.bedrock)
    client.fail(DELETE, service_says("ThrottlingException", 429))
    errors = iter([*[None] * 5, ZeroDivisionError()])  # five looks at what is Creating

    def fall_asleep() -> None:
        error = next(errors, None)
        if error:
            raise error

    manager = manager_of(service, client, before_sleep=fall_asleep)
    block = manager.temporary(NOVA_24K, name="load", confirm=True)
    with pytest.raises(KeyError, match="own"), block:
        raise KeyError("own")

    assert "may not be deleted, and still bill: ZeroDivisionError()" in caplog.text
    block._at_exit()
    assert left(service) == []


def test_what_may_have_been_bought_is_told(
    service: ThroughputService, caplog: pytest.LogCaptureFixture
) -> None:
    """Where an answer is lost and nobody may list any more, the log says what may bill."""

    class Cut(FaultyClient):
        def create_provisioned_model_throughput(self, **request: Any) -> Any:
            self.fail("list_provisioned_model_throughputs", service_says("AccessDenied", 403))
            service.bedrock.create_provisioned_model_throughput(**request)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        use(service, Cut(service.bedrock))

    assert f"{NAME} may have been bought, and bill." in caplog.text
    assert use(service)
    assert left(service) == []


def test_what_is_not_known_to_be_the_purchase_is_told(
    service: ThroughputService, caplog: pytest.LogCaptureFixture
) -> None:
    """Without an answer, one of the name that AWS tells of in other words is not deleted."""

    def in_other_words(told: dict[str, Any]) -> None:
        told["modelArn"] += "-as-aws-calls-it"

    cut = next(fate for fate in CTRL_C if fate.is_done)
    client = FatedClient(RetoldClient(service.bedrock, in_other_words), {2: cut}.get)
    with pytest.raises(KeyboardInterrupt):
        use(service, client)

    (state,) = service.emulator.throughput.list()
    assert f"{state.arn} may be what was bought, and bill, but it serves" in caplog.text


def test_leftovers_are_the_forgotten_ones(service: ThroughputService) -> None:
    """Those that were bought by `temporary`, and if wanted only the old ones."""
    manager = manager_of(service)
    manager.create(NOVA_24K, name=f"not-{TEMPORARY}x", confirm=True)
    manager.temporary(NOVA_24K, name="old", confirm=True).__enter__()
    service.clock.sleep(24 * 3600)
    manager.temporary(NOVA_24K, name="new", confirm=True).__enter__()

    assert [each.name for each in manager.leftovers()] == [f"{TEMPORARY}new", f"{TEMPORARY}old"]
    (old,) = manager.leftovers(older_than=timedelta(hours=20))
    manager.delete(old)

    assert [each.name for each in manager.leftovers()] == [f"{TEMPORARY}new"]


def test_one_that_never_gets_ready_is_told_of() -> None:
    """If AWS neither finishes nor deletes it, the error is the wait's, and the log has the rest."""
    service = make_throughput_service(pace=ThroughputPace(creating=math.inf))

    with pytest.raises(CapacityError, match="still Creating") as caught:
        use(service, timeout=600)

    assert left(service) == [NAME]
    if sys.version_info >= (3, 11):
        assert "still bills" in caught.value.__notes__[0]
