"""What some tests need and some platforms and Python versions lack."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

needs_genai_prices = pytest.mark.skipif(
    find_spec("genai_prices") is None, reason="genai-prices needs Python 3.11"
)
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
