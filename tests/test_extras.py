"""What an installation without extras says."""

from __future__ import annotations

import pytest

from sedic import extras
from sedic.errors import MissingWeightsError


def test_a_missing_package_names_the_extra_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "diffusers", None)
    with (
        pytest.raises(MissingWeightsError, match=r"needs diffusers.*sedic\[papers\]"),
        extras.named(),
    ):
        import diffusers  # noqa: F401


def test_other_missing_modules_are_faults_of_ours() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module"), extras.named():
        import no_such_module  # noqa: F401
