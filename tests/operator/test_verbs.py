"""What a gateway said is printed whole, for programs."""

from __future__ import annotations

import json

import pytest

from twistedgate.operator.verbs import print_json


def test_a_document_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"done": True, "names": ["Zoë", None], "count": 3}
    print_json(document)
    assert json.loads(capsys.readouterr().out) == document
