"""Errors that a user can act on: one clear line that names the thing, what was found and what was expected."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """A mistake in what was asked for or in the data given, told in one line (exit code 2 on the command line)."""


class NonFiniteLoss(RuntimeError):
    """Training stopped because a loss term became NaN or infinite; the message names the iteration and the term."""


def unknown(what: str, name: object, known: Iterable[str]) -> UserError:
    """The error for a name that is not in a list of `known` names; it suggests the nearest and lists them all."""
    known = sorted(known)
    plain = {key.lower(): key for key in known}
    near = [plain[key] for key in get_close_matches(str(name).lower(), plain, n=1)]
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return UserError(f"unknown {what} {name!r}{hint} (known: {', '.join(known) or 'none'})")
