"""Amounts of money, exact."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

_AMOUNT = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s+([A-Z]{3})\s*")


@dataclass(frozen=True)
class Money:
    amount: Decimal
    currency: str

    @classmethod
    def parse(cls, text: str) -> Money:
        """Reads ``12.50 EUR``. Raises ValueError for anything else."""
        match = _AMOUNT.fullmatch(text)
        if match is None:
            raise ValueError(f"not an amount: {text!r}; write it as 12.50 EUR")
        return cls(Decimal(match[1]), match[2])

    def __add__(self, other: Money) -> Money:
        if other.currency != self.currency:
            raise ValueError(f"cannot add {other.currency} to {self.currency}")
        return Money(self.amount + other.amount, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount, self.currency)

    def __str__(self) -> str:
        return f"{self.amount:.2f} {self.currency}"
