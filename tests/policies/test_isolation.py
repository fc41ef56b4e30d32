"""Options that undo isolation are refused with the reason, in every spelling that people copy from elsewhere."""

from __future__ import annotations

import pytest

from assay.errors import ConfigurationError
from assay.policies.isolation import REFUSED, refusal
from assay.policies.loading import parse_settings
from assay.records.sandboxes import Limits, SandboxProfile


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("privileged = true", "'privileged' in [sandboxes.default] is refused: it would give commands privileges"),
        ('cap-add = ["ALL"]', "'cap-add' in [sandboxes.default] is refused: it would give commands privileges"),
        ('CapAdd = ["SYS_ADMIN"]', "'CapAdd' in [sandboxes.default] is refused"),
        ('network_mode = "host"', "would share a namespace"),
        ('pid = "host"', "would share a namespace"),
        ('volumes = ["/:/host"]', "would show files of the host's"),
        ('SecurityOpt = ["seccomp=unconfined"]', "would take away the kernel's filter"),
        ('seccomp = "unconfined"', "would take away the kernel's filter"),
        ('apparmor = "unconfined"', "would take away the kernel's filter"),
        ("docker_socket = true", "would let commands see or change the host"),
        ('devices = ["/dev/kvm"]', "would give commands a device"),
        ("read_only = false", "would let commands change what the image holds"),
        ("limits = {privileged = true}", "'privileged' in [sandboxes.default.limits] is refused"),
    ],
)
def test_isolation_cannot_be_undone(line: str, reason: str) -> None:
    """The message has the place, the option as written, and what it would undo."""
    with pytest.raises(ConfigurationError) as caught:
        parse_settings(f"[sandboxes.default]\n{line}\n", name="assay.toml")
    assert reason in str(caught.value)
    assert str(caught.value).startswith("assay.toml:2:")


def test_other_unknown_keys_are_only_unknown() -> None:
    """Negative control: a slip of the pen is not taken for an attack, and elsewhere than in a sandbox nothing is."""
    assert refusal("imag") is None
    with pytest.raises(ConfigurationError, match="unknown key 'privileged' at the top"):
        parse_settings("privileged = true\n", name="assay.toml")


def test_no_setting_is_refused() -> None:
    """What a profile has is not among the refused, so that the two cannot contradict each other."""
    assert not {*SandboxProfile.model_fields, *Limits.model_fields} & set(REFUSED)
