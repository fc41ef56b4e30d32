"""Secrets are taken out; everything else is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.store.redaction import Redactor

PLAIN = Redactor({})
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\nAAAA\n-----END OPENSSH PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"key:\n{KEY}\nend", "key:\n[redacted:private-key]\nend"),
        (KEY[:60], "[redacted:private-key]"),
        ("id AKIAIOSFODNN7EXAMPLE.", "id [redacted:aws-key]."),
        (
            "aws_secret_access_key = " + "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "aws_secret_access_key[redacted:aws-secret]",
        ),
        ("ghp_" + "a" * 36, "[redacted:github-token]"),
        ("github_pat_" + "A1b2_" * 10, "[redacted:github-token]"),
        ("glpat-" + "x" * 20, "[redacted:gitlab-token]"),
        ("xoxb-1234567890-abc", "[redacted:slack-token]"),
        ("sk-ant-api03-" + "x" * 40, "[redacted:anthropic-key]"),
        ("OPENAI=sk-proj-" + "x" * 40, "OPENAI=[redacted:openai-key]"),
        ("AIza" + "x" * 35, "[redacted:google-key]"),
        ("sk_live_" + "x" * 24, "[redacted:stripe-key]"),
        ("npm_" + "x" * 36, "[redacted:npm-token]"),
        ("pypi-AgE" + "x" * 60, "[redacted:pypi-token]"),
        ("hf_" + "x" * 34, "[redacted:huggingface-token]"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmN", "[redacted:jwt]"),
        ("Authorization: Bearer abcdef0123456789abcdef", "Authorization: Bearer [redacted:bearer]"),
        ("authorization: Basic dXNlcjpwYXNz", "authorization: Basic [redacted:basic]"),
        ("git clone https://ada:s3cret@example.org/x", "git clone https://[redacted:url-password]@example.org/x"),
        ("postgres://app:p%40ss@db:5432/x", "postgres://[redacted:url-password]@db:5432/x"),
    ],
)
def test_well_known_forms_are_replaced(text: str, expected: str) -> None:
    """Each form is replaced by its name, and what is around it stays."""
    assert PLAIN.text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "token = tokenizer.next_token()",
        "password: str = Field(min_length=8)",
        "api_key=os.environ['API_KEY']",
        "task-force-of-more-than-thirty-two-letters-in-a-row",
        "https://example.org:8080/path?x=@user",
        "ssh://git@example.org/repo",
        "the bearer of this letter",
        "AKIA is a prefix",
        "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----",
        "sha256:" + "0" * 64,
        "skeleton_test_abcdefghijklmnop",
        "",
    ],
)
def test_code_and_prose_are_left_alone(text: str) -> None:
    """Negative control: what only looks like a secret to a careless eye is not touched."""
    assert PLAIN.text(text) == text


def test_values_of_secret_variables_are_replaced_wherever_they_stand() -> None:
    """Names that say so make their values secret; short values, paths and other names do not."""
    redactor = Redactor(
        {
            "DB_PASSWORD": "hunter22!",
            "MY_TOKEN": "hunter22!-and-more",
            "SSH_AUTH_SOCK": "/tmp/ssh-x/agent",
            "PIN_KEY": "1234",
            "AUTHOR": "Ada Lovelace",
            "MONKEY": "bananas!!",
            "HOME": "/home/ada",
        }
    )
    text = "hunter22! hunter22!-and-more /tmp/ssh-x/agent 1234 Ada Lovelace bananas!! /home/ada"
    assert redactor.text(text) == (
        "[redacted:DB_PASSWORD] [redacted:MY_TOKEN] /tmp/ssh-x/agent 1234 Ada Lovelace bananas!! /home/ada"
    )
    assert PLAIN.text(text) == text


def test_every_string_of_a_value_is_looked_at() -> None:
    """Keys, items and nested values are cleaned; other types stay what they are."""
    redactor = Redactor({"X_SECRET": "swordfish"})
    assert redactor({"swordfish": ["a swordfish", 1, None, {"b": True, "c": "swordfish"}]}) == {
        "[redacted:X_SECRET]": ["a [redacted:X_SECRET]", 1, None, {"b": True, "c": "[redacted:X_SECRET]"}]
    }


@given(st.text())
def test_doing_it_twice_changes_nothing_more(text: str) -> None:
    """Redaction is idempotent, so a line that is read back and written again stays as it is."""
    redactor = Redactor({"A_KEY": "abcdefgh", "B_KEY": "redacted:"})
    once = redactor.text(f"{text} abcdefgh ghp_{'a' * 36} https://u:{text[:5]}pass@h {text}")
    assert PLAIN.text(once) == once
