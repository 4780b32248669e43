"""`Gate`: shut after a refusal for a while, then probed by one call at a time."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_bedrock_opt.capacity.lanes.gate import Gate, Turn

ENDINGS = st.sampled_from(["passed", "refused", "left"])
STEPS = st.lists(st.tuples(st.floats(0, 90), st.booleans(), ENDINGS), max_size=40)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_whatever_happens_one_call_at_a_time_probes_and_only_after_the_time(
    steps: list[tuple[float, bool, str]],
) -> None:
    """In any order of calls that begin and end, a shut gate lets through one, when it is due."""
    now = 0.0
    gate = Gate(60, clock=lambda: now)
    under_way: list[Turn] = []
    refused_at = None
    for passing, begins, ending in steps:
        now += passing
        if begins or not under_way:
            turn = gate.enter()
            if turn is Turn.SHUT:
                assert refused_at is not None
                assert now < refused_at + 60 or Turn.PROBE in under_way
                continue
            if turn is Turn.PROBE:
                assert refused_at is not None
                assert now >= refused_at + 60
                assert Turn.PROBE not in under_way
            under_way.append(turn)
        else:
            turn = under_way.pop(0)
            if ending == "refused":
                gate.refused(turn)
                refused_at = now
            elif ending == "passed":
                gate.passed(turn)
                refused_at = None if turn is Turn.PROBE else refused_at
            else:
                gate.left(turn)
        assert gate.is_open == (refused_at is None)


def test_a_forked_process_has_no_probe_of_its_parents() -> None:
    """A probe that is under way in the parent does not keep the child from probing."""
    now = 0.0
    gate = Gate(60, clock=lambda: now)
    gate.refused(gate.enter())
    now = 60.0
    gate.enter()

    gate.after_fork()

    assert gate.enter() is Turn.PROBE
