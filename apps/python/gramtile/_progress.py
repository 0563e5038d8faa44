"""How far a long call is: one line that is rewritten, in a terminal or a notebook."""
from __future__ import annotations

import sys
import time
from typing import Any, Callable, Optional, Union

#: What callers give: whether to draw a line, or a function(done, total).
ProgressChoice = Union[bool, None, Callable[[float, float], Any]]


def _is_shown() -> bool:
    """Whether stderr is looked at: a terminal, or a notebook's cell."""
    in_notebook = "ipykernel" in sys.modules
    return in_notebook or bool(getattr(sys.stderr, "isatty", lambda: False)())


def _short(number: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


class ProgressLine:
    """A bar such as tqdm's: called with (done, total), gone when it is closed."""

    _WIDTH = 24
    _EIGHTHS = " ▏▎▍▌▋▊▉"

    def __init__(self, title: str, unit: str) -> None:
        self._title, self._unit = title, unit
        self._start: Optional[float] = None
        self._first = 0.0
        self._shown = 0

    def __call__(self, done: float, total: float, note: str = "") -> None:
        now = time.monotonic()
        if self._start is None:
            self._start, self._first = now, done
        elapsed, made = now - self._start, done - self._first
        part = min(1.0, done / total) if total > 0 else 1.0
        text = f"{self._title}: {100 * part:3.0f}% |{self._bar(part)}|"
        if self._unit:
            text += f" {_short(done)}/{_short(total)} {self._unit}"
        left = _clock(elapsed * (total - done) / made) if made > 0 else "?"
        rate = f", {_short(made / elapsed)} {self._unit}/s" if self._unit and made > 0 and elapsed > 0 else ""
        self._show(f"{text} [{_clock(elapsed)}<{left}{rate}]{' ' + note if note else ''}")

    def _bar(self, part: float) -> str:
        eighths = int(part * self._WIDTH * 8)
        bar = "█" * (eighths // 8) + self._EIGHTHS[eighths % 8].strip()
        return bar.ljust(self._WIDTH)

    def _show(self, text: str) -> None:
        sys.stderr.write("\r" + text.ljust(self._shown))
        sys.stderr.flush()
        self._shown = len(text)

    def close(self) -> None:
        if self._shown:
            sys.stderr.write("\r" + " " * self._shown + "\r")
            sys.stderr.flush()
            self._shown = 0


class Reporting:
    """What a call's ``progress`` keyword asks for, while the call lasts."""

    def __init__(self, choice: ProgressChoice, title: str, unit: str = "") -> None:
        self._line: Optional[ProgressLine] = None
        self.tell: Optional[Callable[..., Any]] = None
        if callable(choice):
            self.tell = choice
        elif choice or (choice is None and _is_shown()):
            self._line = self.tell = ProgressLine(title, unit)

    def __enter__(self) -> Reporting:
        return self

    def __exit__(self, *_: Any) -> None:
        if self._line is not None:
            self._line.close()
