from __future__ import annotations

from twistedgate.config.errors import (
    ConfigurationError,
    ConfigurationErrors,
    Place,
    advice_on_comments,
    nearest,
)

HERE = Place("a.ini", 3)


def test_says_file_line_section_and_option() -> None:
    assert str(ConfigurationError(HERE, "route:a", "path", "is wrong")) == "a.ini:3: [route:a] path: is wrong"


def test_leaves_out_what_is_not_known() -> None:
    assert str(ConfigurationError(HERE, "route:a", "", "is wrong")) == "a.ini:3: [route:a]: is wrong"
    assert str(ConfigurationError(Place("a.ini", 0), "", "", "is wrong")) == "a.ini: is wrong"


def test_all_errors_stand_one_to_a_line() -> None:
    one = ConfigurationError(HERE, "", "", "one")
    assert str(ConfigurationErrors([one, one])) == "a.ini:3: one\na.ini:3: one"


def test_the_nearest_word_is_offered_and_no_far_one() -> None:
    assert nearest("ordres", ["orders", "users"]) == "; did you mean 'orders'?"
    assert nearest("zzz", ["orders"]) == ""


def test_what_looks_like_a_comment_gets_advice() -> None:
    assert advice_on_comments("1 ; one") == advice_on_comments("1 # one") != ""
    assert advice_on_comments("a;b#c") == ""
