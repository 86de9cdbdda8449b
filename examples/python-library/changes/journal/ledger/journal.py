"""Reads a journal: transactions whose postings add up to zero."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from ledger.accounts import validate
from ledger.money import Money

_HEAD = re.compile(r"(\d{4}-\d{2}-\d{2})\s+(.*\S)\s*")
_POSTING = re.compile(r"\s+(\S+)(?:\s+(.*\S))?\s*")


class JournalError(ValueError):
    """Says the line at which the journal is wrong."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line


@dataclass(frozen=True)
class Posting:
    account: str
    money: Money


@dataclass(frozen=True)
class Transaction:
    day: date
    title: str
    postings: tuple[Posting, ...]


def read(lines: Iterable[str]) -> Iterator[Transaction]:
    """Transactions in the order of the journal. Empty lines and those that begin with # are skipped."""
    head: tuple[int, date, str] | None = None
    drafts: list[tuple[str, Money | None]] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            if line[0].isspace():
                if head is None:
                    raise ValueError("a posting before the first transaction")
                drafts.append(_posting(line))
                continue
            if head is not None:
                yield _balanced(head, drafts)
            match = _HEAD.fullmatch(line.rstrip("\n"))
            if match is None:
                raise ValueError("a transaction begins with a date and a title")
            head, drafts = (number, date.fromisoformat(match[1]), match[2]), []
        except JournalError:
            raise
        except ValueError as error:
            raise JournalError(number, str(error)) from error
    if head is not None:
        yield _balanced(head, drafts)


def _posting(line: str) -> tuple[str, Money | None]:
    match = _POSTING.fullmatch(line.rstrip("\n"))
    assert match is not None, "an indented line that is not empty has an account"
    return validate(match[1]), Money.parse(match[2]) if match[2] else None


def _balanced(head: tuple[int, date, str], drafts: list[tuple[str, Money | None]]) -> Transaction:
    number, day, title = head
    known = [money for _, money in drafts if money is not None]
    open_postings = len(drafts) - len(known)
    if not known or open_postings > 1:
        raise JournalError(number, "at most one amount can be left out, and one must be there")
    try:
        total = sum(known[1:], known[0])
    except ValueError as error:
        raise JournalError(number, str(error)) from error
    if open_postings == 0 and total.amount != 0:
        raise JournalError(number, f"the postings add up to {total}, not to zero")
    postings = tuple(Posting(account, -total if money is None else money) for account, money in drafts)
    return Transaction(day, title, postings)
