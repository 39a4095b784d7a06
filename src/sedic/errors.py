"""The errors of sedic. Every one is a ``SedicError`` with a message of one line.

A caller catches ``SedicError`` for everything that sedic refuses or cannot do, or one of its kinds
to tell them apart. A library's own exception never leaves the package for a file, picture, option,
checkpoint or answer that is merely bad.
"""

from __future__ import annotations


class SedicError(Exception):
    """Base of all errors of sedic; the message says what is wrong and what to do."""


class DamagedFileError(SedicError):
    """Bytes that are no valid ``.sedic`` file, packet, picture, mask, checkpoint or weight file."""


class MissingWeightsError(SedicError):
    """Weights, tables or a package that this work needs and that are not here, or are others."""


class UnsuitableInputError(SedicError, ValueError):
    """A value that the caller gave and that cannot be used: a picture, an option, a text."""


class LimitError(SedicError):
    """Work that would exceed a limit: of bytes, pixels, memory or time."""


class OutOfMemoryError(LimitError, MemoryError):
    """The machine has less memory than the work needs."""


class DescriberError(SedicError):
    """A describer that failed: an endpoint, a local model, or an answer that is no description."""


class OutputError(SedicError):
    """A file that cannot be written, or that may not be overwritten."""
