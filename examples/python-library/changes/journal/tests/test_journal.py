from datetime import date

import pytest

from ledger.journal import JournalError, read
from ledger.money import Money

JOURNAL = """\
# March
2024-03-01 Rent
  expenses:rent   800.00 EUR
  assets:bank

2024-03-02 Groceries and wine
  expenses:food    30.00 EUR
  expenses:wine    12.50 EUR
  assets:cash     -42.50 EUR
"""


def test_transactions_are_read_in_order():
    rent, groceries = read(JOURNAL.splitlines(keepends=True))
    assert (rent.day, rent.title) == (date(2024, 3, 1), "Rent")
    assert [posting.account for posting in groceries.postings] == ["expenses:food", "expenses:wine", "assets:cash"]


def test_an_amount_that_is_left_out_is_worked_out():
    rent = next(read(JOURNAL.splitlines()))
    assert rent.postings[1].money == Money.parse("-800 EUR")


@pytest.mark.parametrize(
    ("journal", "line", "problem"),
    [
        ("  assets:bank 1 EUR", 1, "before the first"),
        ("2024-03-01 A\n  a 1 EUR\n  b 1 EUR", 1, "add up to 2.00 EUR"),
        ("2024-03-01 A\n  a\n  b", 1, "at most one"),
        ("2024-03-01 A\n  a 1 EUR\n  b -1 USD", 1, "cannot add USD"),
        ("2024-03-01 A\n  a 1 EUR\n  b -1 euro", 3, "not an amount"),
        ("2024-13-01 A", 1, "month"),
        ("Rent", 1, "begins with a date"),
    ],
)
def test_an_error_names_its_line(journal, line, problem):
    with pytest.raises(JournalError, match=problem) as caught:
        list(read(journal.splitlines()))
    assert caught.value.line == line
