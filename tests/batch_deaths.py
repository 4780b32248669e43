"""Where a process dies, and that another one goes on: for runs that are killed in tests.

A point is an event of a request: before it is sent, or after its answer came. A run without a
death tells which there are; then, for each of three seeds, one is drawn of each kind that is the
seed's turn, so that all kinds are died at, at other moments and with other inputs. With
`KILL_EVERYWHERE` in the environment it is every point, of every seed.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

KILLED = 137
SEEDS = 3

Attempt = Callable[[str, int, Callable[..., None], bool], Any]
"""Makes a run of this name with inputs of this seed; the function is called at each point. Whether
it is made for the first time is told, too: something may be different then."""

Point = tuple[str, int]
"""A kind of event, and the how manieth of it, from 1."""


def shuffled(texts: list[Any], seed: int) -> list[Any]:
    """The same texts in another order."""
    return random.Random(seed).sample(texts, len(texts))


def in_child(
    attempt: Attempt, run_id: str, seed: int, kill_at: Point | None, *, is_first: bool = True
) -> tuple[int, Any]:
    """The exit code of a run in a forked process; its results, and how many points it came by."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        points: Counter[str] = Counter()

        def step(event_name: str, **_: Any) -> None:
            points[event_name] += 1
            if (event_name, points[event_name]) == kill_at:
                os.write(writing, json.dumps([None, points]).encode())
                os._exit(KILLED)

        code = 1
        try:
            results = attempt(run_id, seed, step, is_first)
            os.write(writing, json.dumps([results, points]).encode())
            code = 0
        except BaseException as error:  # noqa: BLE001 - told to the parent
            os.write(writing, json.dumps([repr(error), {}]).encode())
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = json.loads(pipe.read())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def chosen(points: dict[str, int], seed: int) -> list[Point]:
    """The points of a seed.

    Args:
        points: How many there are of each kind.
        seed: The seed.
    """
    if "KILL_EVERYWHERE" in os.environ:
        return [(kind, at + 1) for kind, times in points.items() for at in range(times)]
    chance = random.Random(seed)
    return [(kind, chance.randint(1, points[kind])) for kind in sorted(points)[seed::SEEDS]]


def deaths(attempt: Attempt, name: str) -> Iterator[dict[str, Any]]:
    """Kill a run at the points of each seed, and go on with it."""
    for seed in range(SEEDS):
        code, (whole, points) = in_child(attempt, f"{name}-{seed}-whole", seed, None)
        if code:
            raise RuntimeError(f"a run that nobody killed has failed: {whole}")
        for number, point in enumerate(chosen(points, seed)):
            run_id = f"{name}-{seed}-{number}"
            killed, _ = in_child(attempt, run_id, seed, point)
            code, (results, _) = in_child(attempt, run_id, seed, None, is_first=False)
            yield {
                "run_id": run_id,
                "killed": killed,
                "kind": point[0],
                "code": code,
                "results": results,
                "expected": whole,
                "seed": seed,
            }


def tell(attempt: Attempt, name: str) -> None:
    """Write a line of JSON for each death."""
    for death in deaths(attempt, name):
        sys.stdout.write(json.dumps(death) + "\n")
        sys.stdout.flush()
