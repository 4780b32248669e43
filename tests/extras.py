"""What some tests need and some clones, platforms and Python versions lack."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest

SHARED: Final = Path(
    os.environ.get("BEDROCK_OPT_SHARED") or Path(__file__).resolve().parents[2] / "shared"
)
"""Where the shared evaluation data is, if it is: beside the clone, or as the environment says."""

needs_genai_prices = pytest.mark.skipif(
    find_spec("genai_prices") is None, reason="genai-prices needs Python 3.11"
)
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
