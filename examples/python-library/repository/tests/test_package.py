import ledger


def test_the_package_says_what_it_is():
    assert "bookkeeping" in ledger.__doc__
