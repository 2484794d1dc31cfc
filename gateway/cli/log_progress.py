"""A progress bar on standard error, where somebody looks at one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def entries_done(total: int) -> Iterator[Callable[[int], None]]:
    """What is to be told how many of the `total` entries are done."""
    columns = TextColumn("entries"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("entries", total=total)
        yield lambda done: progress.update(task, completed=done)
