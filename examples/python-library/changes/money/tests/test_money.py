from decimal import Decimal

import pytest

from ledger.money import Money


def test_an_amount_is_read_and_written():
    assert Money.parse("12.50 EUR") == Money(Decimal("12.50"), "EUR")
    assert str(Money.parse("-3 USD")) == "-3.00 USD"


def test_sums_are_exact():
    total = Money.parse("0 EUR")
    for _ in range(10):
        total += Money.parse("0.10 EUR")
    assert total == Money(Decimal("1.00"), "EUR")
    assert total + -total == Money.parse("0 EUR")


@pytest.mark.parametrize("text", ["", "12", "EUR 12", "1,5 EUR", "12 euro"])
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(ValueError, match="not an amount"):
        Money.parse(text)


def test_currencies_are_not_mixed():
    with pytest.raises(ValueError, match="cannot add USD to EUR"):
        Money.parse("1 EUR") + Money.parse("1 USD")
