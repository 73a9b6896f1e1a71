from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from twistedgate.wire.memory import MEMORY_BLOCK, MEMORY_SIZE, Memory


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 400), st.integers(0, 2500)), max_size=200))
def test_memory_gives_what_was_put_in_or_nothing(steps: list[tuple[bool, int, int]]) -> None:
    memory: Memory[int] = Memory()
    for keeps, number, size in steps:
        block = b"%d " % number + b"x" * size
        if keeps:
            memory.keep(block, number)
        else:
            assert memory.recall(block) in (None, number)


def test_memory_forgets_what_was_not_asked_for_and_keeps_what_was() -> None:
    memory: Memory[int] = Memory()
    memory.keep(b"often", 1)
    memory.keep(b"once", 2)
    for number in range(4 * MEMORY_SIZE // 4000):
        memory.keep(b"%d" % number + b"x" * 1000, number)
        assert memory.recall(b"often") == 1
    assert memory.recall(b"once") is None


def test_memory_is_bounded_whatever_is_kept_and_recalled() -> None:
    memory: Memory[int] = Memory()
    blocks = [b"%04d" % number + b"a:\r\n" * (number % 500) for number in range(9000)]
    for number, block in enumerate(blocks + blocks[::-1]):
        memory.keep(block, 1)
        memory.recall(blocks[len(block)])
        for half in (memory.younger, memory.older) if number % 50 == 0 else ():
            assert sum(4 * len(kept) + 256 * kept.count(b"\r\n") for kept in half) <= MEMORY_SIZE


def test_a_large_block_is_not_remembered() -> None:
    memory: Memory[int] = Memory()
    memory.keep(b"x" * (MEMORY_BLOCK + 1), 1)
    memory.keep(b"x" * MEMORY_BLOCK, 2)
    assert memory.recall(b"x" * (MEMORY_BLOCK + 1)) is None
    assert memory.recall(b"x" * MEMORY_BLOCK) == 2
