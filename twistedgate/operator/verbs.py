"""What all commands that ask a running gateway have in common: how they are added, and print JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

Run = Callable[[argparse.Namespace], int]
"""Carries a command out, and returns its exit status."""

AddVerb = Callable[[str, Run, str], argparse.ArgumentParser]
"""Adds a command to a command line: its name, what runs it, what it does in a sentence."""


def print_json(document: object) -> None:
    """Print what a gateway said, for programs."""
    print(json.dumps(document, indent=2))
