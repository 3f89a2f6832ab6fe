"""Pairing codes without a database."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from roost.devices.codes import ALPHABET, CODE_LENGTH, OpenCode, Verdict, code_digest, judge, new_code, normalized

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SALT = b"0123456789abcdef"
OPEN = OpenCode(SALT, code_digest(SALT, "7K3M-Q2XD"), 0, NOW + timedelta(minutes=10), None, None)


def test_a_code_has_forty_bits_and_no_letters_that_look_alike() -> None:
    assert len(ALPHABET) ** CODE_LENGTH >= 2**40
    assert not set("ILOU") & set(ALPHABET)
    codes = {new_code() for _ in range(1000)}
    assert len(codes) == 1000
    assert all(len(code) == 9 and code[4] == "-" for code in codes)


@pytest.mark.parametrize("typed", ["7K3M-Q2XD", "7k3mq2xd", " 7k3m q2xd ", "7-K-3-M-Q2XD"])
def test_case_dashes_and_spaces_do_not_matter(typed: str) -> None:
    assert judge(OPEN, typed, None, NOW) is Verdict.ACCEPTED


def test_look_alike_letters_are_read_as_the_digits_they_resemble() -> None:
    assert normalized("oOiIlL-2") == "0011112"


@pytest.mark.parametrize("typed", ["7K3M-Q2XE", "", "7K3M", "7K3M-Q2XD7", "ÄÖÜ€-\ud83d\ude00"])
def test_any_other_code_is_wrong(typed: str) -> None:
    assert judge(OPEN, typed.encode("utf-16", "surrogatepass").decode("utf-16"), None, NOW) is Verdict.WRONG


def test_the_fifth_wrong_try_burns_the_code_for_the_right_one_too() -> None:
    assert judge(replace(OPEN, wrong_tries=3), "wrong", None, NOW) is Verdict.WRONG
    assert judge(replace(OPEN, wrong_tries=4), "wrong", None, NOW) is Verdict.BURNING
    assert judge(replace(OPEN, wrong_tries=5), "wrong", None, NOW) is Verdict.BURNT
    assert judge(replace(OPEN, wrong_tries=5), "7K3M-Q2XD", None, NOW) is Verdict.BURNT


def test_only_who_knows_the_code_hears_that_it_is_used_or_expired() -> None:
    used, expired = replace(OPEN, used_at=NOW), replace(OPEN, expires_at=NOW)
    assert judge(used, "7K3M-Q2XD", None, NOW) is Verdict.USED
    assert judge(used, "wrong", None, NOW) is Verdict.WRONG
    assert judge(expired, "7K3M-Q2XD", None, NOW) is Verdict.EXPIRED
    assert judge(expired, "wrong", None, NOW) is Verdict.WRONG


def test_a_device_that_announced_a_key_has_to_prove_it() -> None:
    guarded = replace(OPEN, pairing_key_hash=hashlib.sha256(b"my own key").hexdigest())
    assert judge(guarded, "7K3M-Q2XD", "my own key", NOW) is Verdict.ACCEPTED
    assert judge(guarded, "7K3M-Q2XD", None, NOW) is Verdict.WRONG_KEY
    assert judge(guarded, "7K3M-Q2XD", "another", NOW) is Verdict.WRONG_KEY
    assert judge(replace(guarded, wrong_tries=4), "7K3M-Q2XD", "another", NOW) is Verdict.BURNING
