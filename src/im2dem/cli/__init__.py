"""The command line: parse, one call, print. Data or one JSON summary on stdout, everything else on stderr."""

from .app import app, main

__all__ = ["app", "main"]
