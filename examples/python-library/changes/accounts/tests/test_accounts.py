import pytest

from ledger.accounts import parents, validate


def test_parents_go_from_the_general_to_the_particular():
    assert parents("assets:bank:giro") == ["assets", "assets:bank"]
    assert parents("assets") == []


@pytest.mark.parametrize("name", ["", "Assets", "assets:", ":bank", "assets::bank", "assets bank"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(ValueError, match="not an account"):
        validate(name)
