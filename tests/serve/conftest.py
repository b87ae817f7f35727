"""Servers with fake workers."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import pytest

from im2dem.web.serve.options import Limits, ServeOptions
from serve_kit import FAKE, serving


@pytest.fixture
def options(tmp_path):
    """Of a server in a folder of its own, at any free port."""
    return ServeOptions(tmp_path / "data", port=0)


@pytest.fixture
def start(options):
    """Start a server: start(limits={...}, command=..., headers={...}, **options) -> client."""
    with ExitStack() as stack:

        def started(limits=None, command=FAKE, headers=None, **chosen):
            wanted = replace(options, limits=Limits(**(limits or {})), **chosen)
            return stack.enter_context(serving(wanted, command, **(headers or {})))

        yield started
