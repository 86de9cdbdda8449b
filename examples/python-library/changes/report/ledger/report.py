"""Balances of accounts. ``python -m ledger.report FILE`` prints those of a journal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from ledger.accounts import parents
from ledger.journal import JournalError, Transaction, read
from ledger.money import Money

Balances = dict[tuple[str, str], Money]


def balances(transactions: Iterable[Transaction]) -> Balances:
    """By account and currency, in order; an account contains those below it."""
    totals: Balances = {}
    for transaction in transactions:
        for account, money in ((posting.account, posting.money) for posting in transaction.postings):
            for name in [*parents(account), account]:
                key = (name, money.currency)
                totals[key] = totals[key] + money if key in totals else money
    return dict(sorted(totals.items()))


def render(totals: Balances) -> str:
    """One line for each account, indented by its depth, the amounts aligned at their right."""
    rows = [("  " * account.count(":") + account.rsplit(":", 1)[-1], str(money)) for (account, _), money in totals.items()]
    names = max((len(name) for name, _ in rows), default=0)
    amounts = max((len(amount) for _, amount in rows), default=0)
    return "\n".join(f"{name:<{names}}  {amount:>{amounts}}" for name, amount in rows)


def main(argv: list[str]) -> int:
    if len(argv) != 1:
        print("usage: python -m ledger.report FILE", file=sys.stderr)
        return 2
    try:
        with Path(argv[0]).open(encoding="utf-8") as file:
            print(render(balances(read(file))))
    except (OSError, JournalError) as error:
        print(f"{argv[0]}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
