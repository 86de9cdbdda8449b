from ledger.journal import read
from ledger.report import balances, main, render

JOURNAL = """\
2024-03-01 Rent
  expenses:rent   800.00 EUR
  assets:bank
2024-03-02 Wine
  expenses:wine    12.50 EUR
  assets:bank
"""


def test_an_account_contains_those_below_it():
    totals = {account: str(money) for (account, _), money in balances(read(JOURNAL.splitlines())).items()}
    assert totals == {
        "assets": "-812.50 EUR",
        "assets:bank": "-812.50 EUR",
        "expenses": "812.50 EUR",
        "expenses:rent": "800.00 EUR",
        "expenses:wine": "12.50 EUR",
    }


def test_the_table_is_indented_and_aligned():
    assert render(balances(read(JOURNAL.splitlines()))).splitlines() == [
        "assets    -812.50 EUR",
        "  bank    -812.50 EUR",
        "expenses   812.50 EUR",
        "  rent     800.00 EUR",
        "  wine      12.50 EUR",
    ]
    assert render({}) == ""


def test_the_command_prints_the_report_or_the_error(tmp_path, capsys):
    journal = tmp_path / "journal"
    journal.write_text(JOURNAL, encoding="utf-8")
    assert main([str(journal)]) == 0
    assert "bank" in capsys.readouterr().out
    journal.write_text("Rent\n", encoding="utf-8")
    assert main([str(journal)]) == 1
    assert "line 1" in capsys.readouterr().err
    assert main([]) == 2
