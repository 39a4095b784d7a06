"""Exceptions of libraries become errors of ours, of one line."""

from __future__ import annotations

import errno
from importlib import import_module
from pathlib import Path

import pytest

from sedic.errors import DamagedFileError, OutOfMemoryError, SedicError
from sedic.failures import is_out_of_memory, memory_checked, reason, translated
from sedic.models.convert import read_checkpoint

OUT_OF_MEMORY = [
    MemoryError(),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("std::bad_alloc"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_out_of_memory_is_always_out_of_memory(error: Exception) -> None:
    assert is_out_of_memory(error) and reason(error) == "out of memory"
    with pytest.raises(OutOfMemoryError) as caught, translated("a", DamagedFileError, "take less"):
        raise error
    assert str(caught.value) == "a: out of memory; take less"
    with pytest.raises(OutOfMemoryError) as caught, memory_checked("a"):
        raise error
    assert str(caught.value) == "a: out of memory"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("two\n  lines"), "ValueError: two lines"),
        (RuntimeError("Error(s) in loading state_dict:\n\tsize mismatch"), "RuntimeError: "),
        (IndexError(), "IndexError"),
        (KeyError("name"), "KeyError: 'name'"),
        (FileNotFoundError(2, "No such file or directory"), "No such file or directory"),
        (ValueError("\x1b[31mred"), "ValueError: \\x1b[31mred"),
        (ValueError("x" * 9999), "ValueError: xxx"),
    ],
)
def test_other_exceptions_are_named_on_one_line(error: Exception, line: str) -> None:
    assert not is_out_of_memory(error)
    with pytest.raises(DamagedFileError) as caught, translated("a.png", DamagedFileError):
        raise error
    text = str(caught.value)
    assert text.startswith(f"a.png: {line}") and "\n" not in text and len(text) < 400
    with pytest.raises(type(error)), memory_checked("a.png"):
        raise error


@pytest.mark.parametrize(
    ("module", "function"),
    [("models.pack", "load_networks"), ("reference.compact", "load_compact")],
)
def test_weights_that_do_not_fit_into_memory(
    module: str, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("unable to mmap 2000000 bytes: Cannot allocate memory; out of memory")

    loaded = import_module(f"sedic.{module}")
    monkeypatch.setattr(loaded, "safe_open", full)
    arguments = [("vae",)] if module == "models.pack" else []
    with pytest.raises(OutOfMemoryError, match=r"a\.safetensors: out of memory"):
        getattr(loaded, function)(Path("a.safetensors"), *arguments)


def test_a_checkpoint_that_does_not_fit_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("torch.load", full)
    with pytest.raises(OutOfMemoryError, match=r"a\.pth: out of memory"):
        read_checkpoint(tmp_path / "a.pth")


class PanicException(BaseException):
    """What libraries written in Rust raise."""


def test_panics_are_caught_and_interrupts_pass() -> None:
    with pytest.raises(SedicError, match="a: PanicException: entered"), translated("a"):
        raise PanicException("entered unreachable code")
    for ends in (KeyboardInterrupt, SystemExit):
        with pytest.raises(ends), translated("a"):
            raise ends


def test_errors_of_ours_stay_as_they_are() -> None:
    ours = DamagedFileError("b.png: is cut short")
    with pytest.raises(DamagedFileError) as caught, translated("a"):
        raise ours
    assert caught.value is ours and reason(ours) == "b.png: is cut short"
