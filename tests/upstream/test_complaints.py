from __future__ import annotations

from twisted.logger import capturedLogs, formatEvent

from twistedgate.upstream.complaints import INTERVAL, Complaints


def told(complaints: Complaints, *calls: tuple[str, str, float]) -> list[str | None]:
    """Make these complaints, and return the lines of the log."""
    with capturedLogs() as logged:
        for target, what, now in calls:
            complaints.tell(target, what, now)
    return [formatEvent(event) for event in logged]


def test_the_first_is_told_at_once() -> None:
    assert told(Complaints(), ("a:80", "lies", 0.0)) == ["upstream target a:80: lies"]


def test_the_same_again_is_kept_back_and_counted() -> None:
    complaints = Complaints()
    calls = [("a:80", "lies", 100 + INTERVAL * n / 10) for n in range(11)]
    assert told(complaints, *calls) == [
        "upstream target a:80: lies",
        "upstream target a:80: lies (9 more since the last line)",
    ]
    assert told(complaints, ("a:80", "lies", 100 + INTERVAL * 3)) == ["upstream target a:80: lies"]


def test_another_target_and_another_complaint_are_not_the_same() -> None:
    assert len(told(Complaints(), ("a:80", "lies", 5), ("b:80", "lies", 5), ("a:80", "stops", 5))) == 3


def test_a_flood_of_targets_costs_lines_and_no_memory() -> None:
    complaints = Complaints()
    names = [f"{number}:80" for number in range(5000)]
    assert len(told(complaints, *[(name, "lies", 5.0) for name in names])) == 5000
    assert len(complaints._told) <= 1024
