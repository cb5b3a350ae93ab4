"""Measurements of all processes of one program, in memory that they share: the parent creates it, and workers inherit it.

prometheus_client's own way for several processes is a file for each, mapped into memory. On a full disk a write to such a mapping
ends the process (SIGBUS), and files of ended workers stay. A memory file (memfd_create(2)) is on no disk and ends with the program.

    file    sheet 0 | sheet 1 | ...            each of SHEET_BYTES; pages are used only once something is written to them
    sheet   u64 end of entries | 120 bytes: name of its process | entries
    entry   u16 bytes of its key | u16 count of values | 4 bytes: none | key, padded to 8 bytes | values, each a f64

Each process writes one sheet. It holds a record lock on the first byte of that sheet, which the kernel releases when the process
ends; then another process goes on with the sheet, so that counters do not go back when a worker is replaced.
"""

import fcntl
import mmap
import os
import struct
import threading
from bisect import bisect_left
from collections.abc import Iterator

from partage.measures import ALL, UNTRACED, Activity, Counter, Durations, Level, Measure, Trace

SHEETS = 128
SHEET_BYTES = 1 << 20
_NAME_BYTES = 120
_START = 8 + _NAME_BYTES
_HEAD = struct.Struct("<HH4x")
_SEPARATOR = "\x1f"
_LEVELS = frozenset(each.name for each in ALL if isinstance(each, Level))

Series = tuple[str, tuple[str, ...]]
"""The name of a measure, and the values of its labels."""


class Sheets:
    """The shared memory of one program. Create it before the first worker."""

    def __init__(self) -> None:
        """Reserve addresses, but no memory yet."""
        self._file = os.memfd_create("partage-metrics", os.MFD_CLOEXEC)
        os.ftruncate(self._file, SHEETS * SHEET_BYTES)
        self._memory = mmap.mmap(self._file, SHEETS * SHEET_BYTES)

    def claim(self, worker: str) -> "Sheet | None":
        """Claim a sheet for this process; None if more processes than expected are alive. `worker` names the process."""
        for number in range(SHEETS):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number * SHEET_BYTES)
            except OSError:  # another process has it
                continue
            return Sheet(memoryview(self._memory)[number * SHEET_BYTES : (number + 1) * SHEET_BYTES], worker)
        return None

    def read(self) -> Iterator[tuple[str, dict[Series, tuple[float, ...]]]]:
        """Yield the name of each process that has or had a sheet, and the values of its series."""
        for number in range(SHEETS):
            view = memoryview(self._memory)[number * SHEET_BYTES : (number + 1) * SHEET_BYTES]
            worker = bytes(view[8:_START]).rstrip(b"\0").decode(errors="replace")
            if not worker:
                return  # sheets are claimed in order
            yield worker, {series: tuple(values) for series, values in _walk(view)}


class Sheet:
    """The measurements of this process: a `Meter`. When it is full, new series are not kept."""

    def __init__(self, view: memoryview, worker: str) -> None:
        """Go on with a sheet whose former process has ended: its counters stay, its levels are zero again."""
        self._view = view
        self._lock = threading.Lock()
        self._series: dict[Series, memoryview[float]] = dict(_walk(view))
        view[8:_START] = worker.encode()[:_NAME_BYTES].ljust(_NAME_BYTES, b"\0")
        self._levels_start_at_zero()

    def add(self, counter: Counter, *labels: str, by: float = 1) -> None:
        """See `Meter`."""
        values = self._series.get((counter.name, labels)) or self._add_series(counter, labels, 1)
        with self._lock:
            values[0] += by

    def change(self, level: Level, *labels: str, by: float) -> None:
        """See `Meter`."""
        values = self._series.get((level.name, labels)) or self._add_series(level, labels, 1)
        with self._lock:
            values[0] += by

    def time(self, durations: Durations, seconds: float, *labels: str) -> None:
        """See `Meter`."""
        count = len(durations.bounds) + 2
        values = self._series.get((durations.name, labels)) or self._add_series(durations, labels, count)
        bucket = bisect_left(durations.bounds, seconds)
        with self._lock:
            values[bucket] += 1
            values[-1] += seconds

    def trace(self, activity: Activity, traceparent: str = "") -> Trace:  # noqa: ARG002 - the protocol's
        """See `Meter`. Sheets keep sums, and no traces."""
        return UNTRACED

    def close(self) -> None:
        """See `Meter`. The sheet is another process' from the end of this one on."""

    def _levels_start_at_zero(self) -> None:
        for (name, _labels), values in self._series.items():
            if name in _LEVELS:
                values[0] = 0.0

    def _add_series(self, measure: Measure, labels: tuple[str, ...], count: int) -> "memoryview[float]":
        with self._lock:
            known = self._series.get((measure.name, labels))
            if known is not None:
                return known
            key = _SEPARATOR.join((measure.name, *labels)).encode()
            key = key.ljust(-(-len(key) // 8) * 8, b"\0")
            (end,) = struct.unpack_from("<Q", self._view)
            start = end or _START
            following = start + _HEAD.size + len(key) + 8 * count
            if following > len(self._view):
                return memoryview(bytearray(8 * count)).cast("d")
            _HEAD.pack_into(self._view, start, len(key), count)
            self._view[start + _HEAD.size : start + _HEAD.size + len(key)] = key
            values = self._view[start + _HEAD.size + len(key) : following].cast("d")
            self._series[measure.name, labels] = values
            struct.pack_into("<Q", self._view, 0, following)  # last, so that a reader sees whole entries only
            return values


def _walk(view: memoryview) -> Iterator[tuple[Series, "memoryview[float]"]]:
    (end,) = struct.unpack_from("<Q", view)
    at = _START
    while at < end:
        key_bytes, count = _HEAD.unpack_from(view, at)
        at += _HEAD.size
        name, *labels = bytes(view[at : at + key_bytes]).rstrip(b"\0").decode().split(_SEPARATOR)
        at += key_bytes
        yield (name, tuple(labels)), view[at : at + 8 * count].cast("d")
        at += 8 * count
