from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from twistedgate.balancing.health import Judge
from twistedgate.balancing.rules import Checks, HealthRules
from twistedgate.upstream.known import Known

NAMES = ("192.0.2.1:80", "192.0.2.2:80", "[2001:db8::1]:80")
RULES = HealthRules(rise=2, fall=2, eject_after=2, eject_for=5.0, max_ejected=1.0, slow_start=10.0)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["good", "bad", "failed", "succeeded", "trial", "drain", "tick"]),
        st.sampled_from(NAMES),
    ),
    max_size=40,
)


def judged(steps: list[tuple[str, str]]) -> Judge:
    """Return a judge that has seen something."""
    judge = Judge(RULES, 0.0)
    judge.update(dict.fromkeys(NAMES, 2.0), 0.0)
    for number, (what, name) in enumerate(steps):
        now = float(number)
        match what:
            case "good" | "bad":
                judge.probed(name, what == "good", "refused", now)
            case "failed":
                judge.failed(name, "reset", now)
            case "succeeded":
                judge.succeeded(name, now)
            case "trial":
                judge.trial_started(name, now)
            case "drain":
                judge.add(name, 0.0, now)
            case _:
                judge.tick(now + 5)
    return judge


@given(STEPS)
def test_what_is_read_is_what_was_written(steps: list[tuple[str, str]]) -> None:
    judge = judged(steps)
    known = Known(judge, {"a": "http"}, {"b": "http://b"}, {"a": "asked"})
    read = Known.read(orjson.loads(orjson.dumps(known.written())))
    assert read.written() == known.written()
    assert (read.schemes, read.drained, read.questions) == (known.schemes, known.drained, known.questions)
    now = 100.0
    verdicts = []
    for before in (judge, read.judge):
        after = Judge(RULES, now)
        for name in NAMES:
            after.recall(name, before, Checks.AS_BEFORE, now)
        verdicts.append(after.verdicts(now))
    assert verdicts[0] == verdicts[1]
    assert len(verdicts[0]) == len(NAMES)
