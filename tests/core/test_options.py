"""How a setting is read, and how secrets keep out of sight."""

from typing import Any

import pytest

from zohosync.core.options import (
    Document,
    OptionError,
    Secret,
    address,
    choice,
    has_password,
    is_local,
    masked,
    number,
    slips,
    zone,
)


def test_a_secret_shows_itself_nowhere() -> None:
    secret = Secret("  hunter2\n")
    assert secret.reveal() == "hunter2"
    assert "hunter2" not in f"{secret} {secret!r} {[secret]} {vars(Secret)}"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:p%40ss@h:5432/db?sslmode=require", "postgresql://u@h:5432/db"),
        ("postgresql://h/db?password=abc", "postgresql://h/db"),
        ("host=h password=abc", "********"),
        ("", ""),
    ],
)
def test_a_database_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert masked(Secret(url)) == shown


@pytest.mark.parametrize(
    "url", ["postgresql://u:p@h/db", "host=h password=p", "postgres://h/db?password = x"]
)
def test_a_password_in_a_url_is_seen(url: str) -> None:
    assert has_password(url)
    assert not has_password("postgresql://u@h:5432/db")


@pytest.mark.parametrize("value", [0, -1, 3.5, "x", True, None, 10**9, float("nan")])
def test_an_absurd_number_is_refused_in_words(value: Any) -> None:
    with pytest.raises(ValueError, match="must be a whole number"):
        number(1, 100, whole=True)(value)


def test_a_number_may_come_as_text() -> None:
    assert number(1, 100, whole=True)("42") == 42
    assert number(0, 1, whole=False)("0.5") == 0.5


def test_a_choice_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"did you mean premium\?"):
        choice("standard", "premium")("premum")


@pytest.mark.parametrize(
    "value",
    [
        "zohoapis.com", "ftp://x", "http://api.example.com", "https://u:p@h.example", "https://h.example/?x=1",
        "http://h.example:99999", "https://",
    ],
)  # fmt: skip
def test_an_address_that_would_not_do_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"must be|would send"):
        address(value)


def test_an_address_of_this_machine_may_be_plain() -> None:
    assert address("http://127.0.0.1:8470/") == "http://127.0.0.1:8470"
    assert is_local("http://localhost:1")
    assert not is_local("https://www.zohoapis.com")
    assert not is_local(None)


def test_a_time_zone_has_to_exist() -> None:
    assert zone("Africa/Johannesburg") == "Africa/Johannesburg"
    for wrong in ("Mars/Base", "", "../etc", "Africa"):
        with pytest.raises(ValueError, match="no such time zone"):
            zone(wrong)


def test_a_document_says_where_a_key_stands() -> None:
    document = Document("x.toml", 'a = 1\n[one]\nkey = 1\n\n[one.two]\n"key" = 2\n')
    assert document.at("one.key") == "x.toml line 3"
    assert document.at("one.two.key") == "x.toml line 6"
    assert document.at("one.two") == "x.toml line 5"
    assert document.at("elsewhere.key") == "x.toml"


def test_malformed_toml_names_the_line() -> None:
    with pytest.raises(OptionError) as caught:
        Document("x.toml", "a = 1\nb = = 2\n")
    assert "line 2" in caught.value.what


def test_near_misses_among_variables_are_named() -> None:
    known = ["ZOHOSYNC_API_URL", "ZOHOSYNC_CLIENT_ID"]
    assert slips(["ZOHOSYNC_API_ULR", "ZOHOSYNC_CLIENT_ID", "ZOHOSYNC_X"], known) == [
        ("ZOHOSYNC_API_ULR", "ZOHOSYNC_API_URL")
    ]
