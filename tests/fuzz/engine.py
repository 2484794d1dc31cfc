"""One target in a process of its own: `python -m tests.fuzz.engine NAME SECONDS guided`, by atheris, or `unguided`, by chance.

An input that breaks a rule is written to var/fuzz/found once for each place in the code, and the fuzzer goes on.
What ends the process (a hang, memory, a crash of a library) leaves a file of libFuzzer's there.
"""

from __future__ import annotations

import resource
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from random import Random
from time import monotonic, process_time

import atheris

from tests.fuzz.chance import mutated
from tests.fuzz.target import Target

ROOT = Path(__file__).parents[2]
WORK = ROOT / "var/fuzz"
FOUND = WORK / "found"
HANG = 30  # seconds on the clock
# Loops over the whole agreement: with every branch of them counted, loading it takes seconds.
_PLAIN = [f"gateway.agreement.{name}" for name in ("views", "trees", "matrix", "course_walk", "dialect")]
MEMORY = 2048  # MB for the process; instrumented and with all modules it has 300


class Slow(Exception):  # noqa: N818 - what an input is
    """An input took longer than its target allows."""


def main(name: str, seconds: str, how: str) -> None:
    with (
        atheris.instrument_imports(include=["gateway"], exclude=_PLAIN) if how == "guided" else nullcontext()
    ):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    seeds = (*target.seeds(), *target.kept().values())
    for seed in seeds:  # whatever is computed once is computed now
        target.judge(seed)
    FOUND.mkdir(parents=True, exist_ok=True)
    (_guided if how == "guided" else _by_chance)(target, seeds, int(seconds))


def _guided(target: Target, seeds: Sequence[bytes], seconds: int) -> None:
    corpus = WORK / "corpus" / target.name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [
        f"-max_total_time={seconds}", f"-timeout={HANG}", f"-rss_limit_mb={MEMORY}", f"-max_len={target.largest}",
        f"-artifact_prefix={FOUND}/{target.name}-", "-print_final_stats=1", "-verbosity=0", str(corpus),
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options], _watched(target))
    atheris.Fuzz()


def _by_chance(target: Target, seeds: Sequence[bytes], seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY * 2**20, resource.RLIM_INFINITY))
    one, random, count, end = _watched(target), Random(), 0, monotonic() + seconds
    while monotonic() < end:
        one(mutated(seeds, random, target.largest))
        count += 1
    print(f"stat::number_of_executed_units: {count}", file=sys.stderr)


def _watched(target: Target) -> Callable[[bytes], None]:
    seen: set[str] = set()

    def timed(data: bytes) -> None:
        started = process_time()
        target.judge(data)
        if process_time() - started > target.seconds:
            raise Slow

    def one(data: bytes) -> None:
        try:
            timed(data)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is; a panic of a library in Rust is no Exception
            _keep(target.name, data, error, seen)

    return one


def _keep(name: str, data: bytes, error: BaseException, seen: set[str]) -> None:
    frames = [f"{one.filename}:{one.lineno}" for one in traceback.extract_tb(error.__traceback__)]
    place = f"{type(error).__name__} {frames[-3:]}"
    if place not in seen:
        seen.add(place)
        path = FOUND / f"{name}-{type(error).__name__}-{len(seen)}"
        path.write_bytes(data)
        path.with_suffix(".txt").write_text("".join(traceback.format_exception(error)))


if __name__ == "__main__":
    main(*sys.argv[1:])
