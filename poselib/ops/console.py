"""What commands print, and what they say of errors, whatever the terminal is."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Sequence
from typing import Any

from poselib.wording import meant


def say(text: str) -> None:
    """Print a line; letters that the output cannot show are written as ``\\xe9`` and the like.

    An output that is closed, or that is read no more, is skipped: what a command was to do
    is done. Of the processes that ``torchrun`` starts, which train together, the first one prints.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ or os.environ.get("RANK") == "0":
        _write(sys.stdout, text)


def complain(text: str) -> None:
    """Print a line to standard error, as ``say`` does."""
    _write(sys.stderr, text)


def interactive() -> bool:
    """Whether standard error is a terminal, which can show a progress bar."""
    return sys.stderr is not None and sys.stderr.isatty()


def one_line(error: BaseException) -> str | None:
    """Return what a command says of an error of its input or of too little memory, else None.

    Line breaks, control characters of terminals and other libraries' stack traces are left out.
    """
    text = " ".join("".join(c if c.isprintable() else " " for c in str(error)).split())
    if out_of_memory(error):
        return f"not enough memory: {text[:200]}" if text else "not enough memory"
    return text if isinstance(error, OSError | ValueError) else None


def without_addresses(text: str) -> str:
    """Return a text with "the file" for objects that Python shows by their addresses.

    Example:
        >>> without_addresses("cannot identify <_io.BytesIO object at 0x7f3a>")
        'cannot identify the file'
    """
    return re.sub(r"<[^<>]* at 0x[0-9a-fA-F]+>", "the file", text)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python, NumPy, PyTorch or OpenCV says that memory does not suffice."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    said = ("can't allocate memory", "not enough memory", "out of memory", "insufficient memory")
    return not isinstance(error, OSError | ValueError) and any(words in text for words in said)


def _write(stream: Any, text: str) -> None:
    if stream is None:  # closed before Python began
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        for earlier in (sys.stdout, sys.stderr):  # what was printed before comes first
            if earlier is not None:
                earlier.flush()
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stream.flush()
    except (OSError, ValueError):
        # Python would try again at its end, and report that.
        with contextlib.suppress(OSError, ValueError):
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, stream.fileno())
            os.close(nothing)


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse arguments; the message of one that a command lacks names the options like it.

    Args:
        parser: whose commands state their own parsers as the default of ``parser``.
        argv: the arguments; those of the process if not given. The result has them as its
            ``command_line``.
    """
    arguments, unknown = parser.parse_known_args(argv)
    arguments.command_line = list(sys.argv[1:] if argv is None else argv)
    if unknown:
        command: argparse.ArgumentParser = arguments.parser
        known = [name for action in command._actions for name in action.option_strings]
        like = meant(unknown[0].split("=")[0], known)
        command.error(f"unrecognized arguments: {' '.join(unknown)}{like}")
    return arguments
