"""Text from untrusted sources, as something that no terminal obeys."""

from __future__ import annotations

_MESSAGE_LENGTH = 1000


def one_line(text: str) -> str:
    """Text from an untrusted source as one line of bounded length that no terminal obeys."""
    return middle_out(visible(" ".join(middle_out(text, 4 * _MESSAGE_LENGTH).split())), _MESSAGE_LENGTH)


def visible(text: str) -> str:
    """Text in which every character that does not print, but for the end of a line, is escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def middle_out(text: str, length: int) -> str:
    """Text without its middle, where it is longer."""
    half = (length - 5) // 2
    return text if len(text) <= length else f"{text[:half]} ... {text[-half:]}"
