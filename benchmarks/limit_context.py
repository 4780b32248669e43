"""How fast a text or a history is cut to a budget of tokens.

A text of 4 MB, half English and half Japanese with a few blocks of code, is cut to a budget of
8,000 tokens and to one that half of it fits in, at either end or at both. Beside it stands one
`TokenCounter.text` over the whole text: what anybody has to spend who wants to know whether it
fits. A history of 500 messages is cut to a tenth of its tokens, beside LangChain's
`trim_messages` with the same counter.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.messages.utils import trim_messages

from benchmarks.harness import Comparison, Result, compare
from langchain_bedrock_opt.catalog.tokens import TokenCounter
from langchain_bedrock_opt.prompting.limiting import limit_context
from langchain_bedrock_opt.prompting.limiting.text import Keep

ROUNDS = 7
MESSAGES = 500
BYTES = 4_000_000
COUNTER = TokenCounter("us.anthropic.claude-haiku-4-5-20251001-v1:0")
PARAGRAPH = """\
The service was restarted at 3.15 p.m. by Dr. Sato, who found no error in its log. Two of its
clients, e.g. the one in Osaka, had already given up; the others came back within a minute.

推論パフォーマンスの最適化は、本番の生成AIアプリケーションにとって重要です。「速ければ良い。」という
ものではなく、費用と品質との釣り合いが問われます。次の手順で確かめてください。

```python
for attempt in range(3):
    if client.ping():
        break
```

"""


def run() -> Result:
    """Megabytes a second, and times as long as a count and as `trim_messages`."""
    text = PARAGRAPH * (BYTES // len(PARAGRAPH.encode()))
    size = len(text.encode()) / 1e6
    half = COUNTER.text(text) // 2
    history = _history()
    tenth = COUNTER(history) // 10
    cuts: dict[str, Comparison] = {
        "8,000 tokens, head": _text(text, 8_000, "head"),
        "8,000 tokens, ends": _text(text, 8_000, "ends"),
        "half, head": _text(text, half, "head"),
        "half, tail": _text(text, half, "tail"),
        "half, ends": _text(text, half, "ends"),
        "all but a few": _text(text, 2 * half - 100, "head"),
    }
    trimmed = compare(
        lambda: _seconds(lambda: limit_context(history, tenth, counter=COUNTER)),
        lambda: _seconds(lambda: _trim(history, tenth)),
        rounds=ROUNDS,
    )
    return Result(
        benchmark="limit_context",
        figures={
            **{f"{name}, MB/s": size / cut.ours for name, cut in cuts.items()},
            **{f"{name}, times a count": cut.ratio for name, cut in cuts.items()},
            "500 messages / trim_messages": trimmed.ratio,
            "500 messages, ms": trimmed.ours * 1e3,
        },
        baselines={
            "count, MB/s": size / cuts["half, head"].baseline,
            "trim_messages, ms": trimmed.baseline * 1e3,
        },
        goals={f"{name}, MB/s": (">=", 5) for name in cuts},
    )


def _text(text: str, max_tokens: int, keep: Keep) -> Comparison:
    return compare(
        lambda: _seconds(lambda: limit_context(text, max_tokens, keep=keep, counter=COUNTER)),
        lambda: _seconds(lambda: COUNTER.text(text)),
        rounds=ROUNDS,
    )


def _history() -> list[BaseMessage]:
    kinds = (HumanMessage, AIMessage)
    said = [
        kinds[number % 2](PARAGRAPH[number % 100 :] + str(number)) for number in range(MESSAGES)
    ]
    return [SystemMessage("Be brief."), *said, HumanMessage("What now?")]


def _trim(history: list[BaseMessage], max_tokens: int) -> object:
    return trim_messages(
        history,
        max_tokens=max_tokens,
        token_counter=COUNTER,
        start_on="human",
        include_system=True,
    )


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
