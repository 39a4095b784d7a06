"""The interchangeable parts of sedic: one table for each kind, which other packages can extend.

A part has a name, a number that stands for it in files, a factory and one line of help. The
command line, the errors and the documentation are made from these tables. Nothing is imported
before a part is used.

Another package adds a part through a Python entry point whose object is a ``Part``:

    [project.entry-points."sedic.reference_codecs"]
    tiny = "my_package:TINY"

    # my_package.py
    TINY = Part("tiny", "a grey picture of 8 x 8 cells", "my_package.codec:Tiny", number=200)

Numbers from ``FIRST_PRIVATE`` on are for such parts; encoder and decoder must have the same
package.

Every kind says with which keyword arguments a factory is called; see each table's comment.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from sedic.errors import MissingWeightsError, UnsuitableInputError

FIRST_PRIVATE, LAST_PRIVATE = 128, 255


@dataclass(frozen=True)
class Part:
    """One entry of a table.

    ``factory`` is a callable or "module:attribute", which is imported when the part is made.
    ``number`` stands for the part in files; describers, which leave no trace there, have none.
    """

    name: str
    summary: str
    factory: str | Callable[..., Any]
    number: int | None = None

    def make(self, **arguments: Any) -> Any:
        """The part itself: calls the factory."""
        factory = self.factory
        if isinstance(factory, str):
            module, _, attribute = factory.partition(":")
            factory = getattr(import_module(module), attribute)
        return factory(**arguments)


class Table:
    """The parts of one kind: those of sedic, and those that entry points of ``group`` add.

    ``kind`` is the noun for messages; ``numbered`` says whether its parts have numbers in files.
    """

    def __init__(self, kind: str, group: str, parts: tuple[Part, ...], numbered: bool = True):
        self.kind = kind
        self.group = group
        self._own = parts
        self._numbered = numbered

    @cached_property
    def _parts(self) -> dict[str, Part]:
        parts = {part.name: part for part in self._own}
        for point in entry_points(group=self.group):
            try:
                part = point.load()
                problem = self._problem(part, parts)
            except Exception as error:  # another package's code may raise anything
                problem = f"it cannot be imported ({type(error).__name__})"
            if problem:
                warnings.warn(f"{self.kind} {point.name!r} is left out: {problem}", stacklevel=2)
            else:
                parts[part.name] = part
        return parts

    def _problem(self, part: object, known: dict[str, Part]) -> str | None:
        """Why an entry point's object cannot join the table."""
        if not isinstance(part, Part):
            return "its entry point is no sedic.Part"
        if part.name in known:
            return f"the name {part.name!r} is taken"
        if self._numbered:
            if part.number is None or not FIRST_PRIVATE <= part.number <= LAST_PRIVATE:
                return f"its number must be {FIRST_PRIVATE} to {LAST_PRIVATE}"
            if any(other.number == part.number for other in known.values()):
                return f"the number {part.number} is taken"
        return None

    def add(self, part: Part) -> None:
        """Make a part of the caller's own known in this process; it may be added again.

        Raises ``UnsuitableInputError`` where another part has its name or number.
        """
        known = dict(self._parts)
        before = known.get(part.name)
        if before is not None and before.number == part.number:
            del known[part.name]
        if problem := self._problem(part, known):
            raise UnsuitableInputError(f"{self.kind} {part.name!r} cannot be used: {problem}")
        self._parts[part.name] = part

    def __iter__(self) -> Iterator[Part]:
        return iter(self._parts.values())

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all parts, sedic's own first."""
        return tuple(self._parts)

    def __contains__(self, name: str) -> bool:
        return name in self._parts

    def __getitem__(self, name: str) -> Part:
        """The part of this name; ``UnsuitableInputError`` lists the known ones."""
        if name not in self._parts:
            names = ", ".join(self._parts)
            raise UnsuitableInputError(f"unknown {self.kind} {name!r}; one of {names}")
        return self._parts[name]

    def name_of(self, number: int) -> str:
        """The name of the part with this number in files.

        ``MissingWeightsError`` where no installed package has it.
        """
        for part in self:
            if part.number == number:
                return part.name
        hint = "install the package that has it" if number >= FIRST_PRIVATE else "is sedic too old?"
        raise MissingWeightsError(f"the file uses {self.kind} number {number}: {hint}")

    def number_of(self, name: str) -> int:
        """The number in files of the part of this name."""
        number = self[name].number
        assert number is not None, f"{self.kind} {name} has no number"
        return number


# factory(weights: Path | None, dtype: torch.dtype | None) -> reference.ReferenceCodec
REFERENCE_CODECS = Table(
    "reference codec",
    "sedic.reference_codecs",
    (
        Part(
            "compact",
            "the embedded learned codec: 150 bytes to 2 kilobytes",
            "sedic.reference.compact:Compact",
            0,
        ),
        Part(
            "cheng2020",
            "the papers' learned codec; needs a CompressAI checkpoint",
            "sedic.reference.cheng2020:from_weights",
            1,
        ),
        Part("pixel", "MISC's grid of quantised cell means", "sedic.reference.pixel:Pixel", 2),
        Part(
            "external",
            "a WebP, AVIF or JPEG XL file, carried as it is",
            "sedic.reference.external:External",
            3,
        ),
    ),
)

# factory(table: bytes | None, language: TokenModel | None) -> coding.text.TextCoder
TEXT_CODERS = Table(
    "text coder",
    "sedic.text_coders",
    (
        Part(
            "primed",
            "a byte model that was trained on descriptions",
            "sedic.coding.primed:PrimedText",
            0,
        ),
        Part(
            "huffman",
            "SEDIC's: a Huffman code made for each text",
            "sedic.coding.huffman:HuffmanText",
            1,
        ),
        Part(
            "model",
            "the probabilities of a language model that both sides have",
            "sedic.coding.token_text:ModelText",
            2,
        ),
    ),
)

# factory(table: bytes | None) -> coding.masks.MaskCoder
MASK_CODERS = Table(
    "mask coder",
    "sedic.mask_coders",
    (
        Part(
            "context",
            "adaptive contexts, trained on masks of photographs",
            "sedic.coding.masks:ContextMasks",
            0,
        ),
        Part("runlength", "SEDIC's run lengths", "sedic.coding.masks:RunLengthMasks", 1),
        Part("jbig2", "JBIG2's generic regions", "sedic.coding.masks:Jbig2Masks", 2),
        Part("blocks", "MISC's 8 x 8 blocks", "sedic.coding.masks:BlockMasks", 3),
    ),
)

# factory(profile: Profile, model: str, source: Path | None) -> describe.description.Describer
DESCRIBERS = Table(
    "describer",
    "sedic.describers",
    (
        Part(
            "named",
            "what an embedded classifier sees twice, with measured looks; works offline",
            "sedic.describe.named:NamedDescriber",
        ),
        Part(
            "measured",
            "colours, textures and light, measured; needs no model",
            "sedic.describe.measured:MeasuredDescriber",
        ),
        Part(
            "api",
            "a language model behind an OpenAI-compatible endpoint (SEDIC_API_BASE, "
            "SEDIC_API_MODEL, SEDIC_API_KEY)",
            "sedic.describe.language_model:api_describer",
        ),
        Part(
            "local",
            "a language model on this machine",
            "sedic.describe.language_model:local_describer",
        ),
        Part(
            "sidecar",
            "your own words and masks, from a JSON file",
            "sedic.describe.sidecar:SidecarDescriber",
        ),
    ),
    numbered=False,
)

# The factory of a profile gives the path of its TOML file; it takes no arguments.
PROFILES = Table(
    "profile",
    "sedic.profiles",
    (
        Part("mini", "embedded; a CPU, offline, seconds", "sedic.profiles:mini", 1),
        Part(
            "sd21",
            "Stable Diffusion 2.1 and DiffBIR's IRControlNet; models are fetched",
            "sedic.profiles:sd21",
            2,
        ),
        Part(
            "sd15",
            "Stable Diffusion 1.5 and ControlNet-tile; models are fetched",
            "sedic.profiles:sd15",
            3,
        ),
        Part("sd21-tcd", "sd21 in four steps a stage (TCD-LoRA)", "sedic.profiles:sd21_tcd", 4),
        Part("sd21-turbo", "SD-Turbo: one or two steps a stage", "sedic.profiles:sd21_turbo", 5),
        Part("sd15-lcm", "sd15 in four steps a stage (LCM-LoRA)", "sedic.profiles:sd15_lcm", 6),
    ),
)
