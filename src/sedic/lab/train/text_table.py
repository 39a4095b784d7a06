"""Makes the table of the primed text coder from collections of texts.

Counting is exact and the fit has no randomness: the same texts give the same file.
"""

from __future__ import annotations

import hashlib
import json
import random
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sedic.coding.primed import (
    CONFIDENCE_BITS,
    END,
    LINE_FEED,
    ORDER,
    SLOTS,
    STAGES,
    Integers,
    Model,
    Predictor,
    Trie,
    save_model,
)
from sedic.errors import SedicError
from sedic.files import write_atomically
from sedic.lab.train import photos
from sedic.picture import load_picture

FOLDS = 4
BLOCK = 20  # lines of a corpus kept in one fold: neighbours often describe the same picture
EXCERPT = 400  # bytes: how long the texts are that confidences are fitted to
_RARE_FROM = 7  # strings this long are kept only if seen twice
_ROUNDS = 60
_PRIOR = 1.0  # counts for and against, so that no confidence is fitted to nothing
_SOURCES = {
    "iiw.jsonl": "image descriptions of google/imageinwords (Garg et al. 2024), CC BY 4.0",
    "named.jsonl": "named descriptions of training photographs, made by sedic, with drawn names",
    "names.jsonl": "the names of sedic's classifier (sedic/describe/imagenet.txt)",
    "measured.jsonl": "measured descriptions of training photographs, made by sedic itself",
}


@dataclass(frozen=True)
class Corpus:
    """Texts that count ``weight`` times; ``name`` is for the model card."""

    name: str
    texts: tuple[str, ...]
    weight: int


def describe_photos(
    folders: Sequence[Path],
    out: Path,
    count: int = 200,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Measured descriptions of ``count`` training photographs, as a corpus for ``build_table``.

    Budgets vary from picture to picture (by a fixed seed), as rate control varies them, and about
    half of them are full. A photograph that cannot be read is named in the log and left out.
    Raises ``SedicError`` if there are no photographs.
    """
    from sedic.describe.measured import describe

    budgets = random.Random(0)
    lines = []
    for done, path in enumerate(photos.draw(folders, count), 1):
        objects, words, overall = (budgets.randint(*span) for span in ((0, 6), (10, 50), (15, 85)))
        with photos.leaving_out(path):
            picture = load_picture(path)
            scene = describe(picture, min(objects, 3), min(words, 30), min(overall, 50))
            lines.append(json.dumps({"text": scene.text}) + "\n")
        progress(done)
    if not lines:
        raise SedicError("none of the photographs can be described")
    write_atomically(out, "".join(lines).encode())


def read_corpus(path: Path, weight: int) -> Corpus:
    """A JSON-lines file whose objects have a ``text``; ``SedicError`` if it is not that."""
    if weight < 1:
        raise SedicError(f"{path.name}: the weight of a corpus must be at least 1")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SedicError(f"cannot read the corpus {path}: {error}") from error
    texts = []
    for number, line in enumerate(lines, 1):
        try:
            text = json.loads(line)["text"]
            text.encode()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SedicError(f'{path}, line {number}: expected {{"text": "..."}}') from error
        texts.append(text)
    if not texts:
        raise SedicError(f"{path}: no texts in it")
    return Corpus(path.name, tuple(texts), weight)


def count(corpora: Sequence[Corpus]) -> Trie:
    """The trie of everything in ``corpora``.

    Strings of the greatest length carry their number of occurrences, shorter ones their number
    of different left neighbours (in each corpus); all times the corpus' weight.
    """
    stream, weights, corpus_of = _streams(corpora)
    neighbours = 256 + 1
    # The left neighbour of a line's opening feed does not matter: such strings count each time.
    left = np.concatenate([[0], stream[:-1]]).astype(np.int64)
    opening = stream == LINE_FEED
    start = np.arange(stream.size)  # where the strings of the present length begin
    node = np.zeros(stream.size, np.int64)  # each one's prefix
    symbols: list[npt.NDArray[np.uint8]] = []
    counts: list[Integers] = []
    kinds: list[Integers] = []
    parents = 1
    for length in range(1, ORDER + 2):
        keys, which = np.unique(node * 256 + stream[start + length - 1], return_inverse=True)
        occurrences = np.bincount(which, weights[start]).astype(np.int64)
        frequent = occurrences >= (2 if length >= _RARE_FROM else 1)
        renumbered = np.cumsum(frequent) - 1
        start, which = start[frequent[which]], renumbered[which[frequent[which]]]
        keys, occurrences = keys[frequent], occurrences[frequent]
        if length <= ORDER:
            each = opening[start]
            pair = (which * len(corpora) + corpus_of[start]) * neighbours + left[start]
            first = np.unique(pair[~each], return_index=True)[1]
            strings = np.concatenate([which[each], which[~each][first]])
            string_weights = np.concatenate([weights[start][each], weights[start][~each][first]])
            occurrences = np.bincount(strings, string_weights, keys.size).astype(np.int64)
        symbols.append((keys & 0xFF).astype(np.uint8))
        counts.append(occurrences)
        kinds.append(np.bincount(keys >> 8, minlength=parents))
        parents = keys.size
        # A string may begin with a line feed, not go on after one; nothing follows END.
        last = stream[start + length - 1]
        goes_on = (last != END) & ((last != LINE_FEED) | (length == 1))
        start, node = start[goes_on], which[goes_on]
    kinds.append(np.zeros(parents, np.int64))
    return Trie(np.concatenate(symbols), np.concatenate(counts), np.concatenate(kinds))


def _streams(corpora: Sequence[Corpus]) -> tuple[npt.NDArray[np.uint8], Integers, Integers]:
    """Each text as it is coded, after an opening line feed; weight and corpus of every byte."""
    parts = [b"".join(b"\n" + _symbols(text) for text in corpus.texts) for corpus in corpora]
    sizes = [len(part) for part in parts]
    stream = np.frombuffer(b"".join(parts), np.uint8)
    weights = np.repeat(np.array([corpus.weight for corpus in corpora], np.int64), sizes)
    return stream, weights, np.repeat(np.arange(len(corpora)), sizes)


def _symbols(text: str) -> bytes:
    return text.encode() + bytes([LINE_FEED, END])


def _excerpt(text: str) -> str:
    """The first sentences or lines, about as long as the descriptions that will be coded."""
    if len(text) <= EXCERPT:
        return text
    head = text[:EXCERPT]
    end = max(head.rfind(". ") + 1, head.rfind("\n"))
    return head[:end] if end > 0 else head


@dataclass(frozen=True)
class Observations:
    """The probability that each context gave to each of ``n`` bytes of held-out text.

    ``slots`` (STAGES, n) int16, the most trusted context first, -1 where there is none;
    ``chances`` (STAGES, n) float64; ``weights`` (n,) float64; ``characters``: length of the texts.
    """

    slots: npt.NDArray[np.int16]
    chances: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]
    characters: int


def observe(model: Model, corpora: Sequence[Corpus]) -> Observations:
    """Observations of excerpts of ``corpora``; the confidences of ``model`` are not used."""
    slots, chances, weights = array("h"), array("d"), array("d")
    characters = 0
    for corpus in corpora:
        for text in map(_excerpt, corpus.texts):
            characters += len(text)
            predictor = Predictor(model)
            for symbol in _symbols(text):
                row_slots, row_chances = [-1] * STAGES, [0.0] * STAGES
                for stage, evidence in enumerate(predictor.evidence()):
                    row_slots[stage] = evidence.slot
                    at = bytes(evidence.symbols).find(symbol)
                    if at >= 0:
                        row_chances[stage] = int(evidence.numerators[at]) / evidence.denominator
                slots.extend(row_slots)
                chances.extend(row_chances)
                weights.append(corpus.weight)
                predictor.update(symbol)
    return Observations(
        np.array(slots).reshape(-1, STAGES).T.copy(),
        np.array(chances).reshape(-1, STAGES).T.copy(),
        np.array(weights),
        characters,
    )


def _mix(
    observation: Observations, confidence: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Each context's (STAGES, n) share of the probability of the coded bytes; its (n,) sum."""
    rest = np.ones(observation.weights.size)
    parts = np.empty_like(observation.chances)
    for stage in range(STAGES):
        trust = np.where(observation.slots[stage] < 0, 0.0, confidence[observation.slots[stage]])
        parts[stage] = rest * trust * observation.chances[stage]
        rest *= 1 - trust
    return parts, parts.sum(0) + rest / 256


def fit(observations: Sequence[Observations]) -> Integers:
    """The (SLOTS,) confidences that make the texts most likely, by expectation maximisation.

    A byte is thought to come from one of its contexts; a context's confidence becomes how often
    it was the source among the times that no more trusted one was.
    """
    confidence = np.full(SLOTS, 0.5)
    for _ in range(_ROUNDS):
        chosen, reached = np.full(SLOTS, _PRIOR), np.full(SLOTS, 2 * _PRIOR)
        for observation in observations:
            parts, chance = _mix(observation, confidence)
            left = observation.weights.copy()
            for stage in range(STAGES):
                at_stage = observation.slots[stage] >= 0
                at = observation.slots[stage][at_stage]
                source = observation.weights[at_stage] * parts[stage][at_stage] / chance[at_stage]
                chosen += np.bincount(at, source, SLOTS)
                reached += np.bincount(at, left[at_stage], SLOTS)
                left[at_stage] -= source
        confidence = chosen / reached
    top = (1 << CONFIDENCE_BITS) - 1
    rounded: Integers = np.clip(np.rint(confidence * (top + 1)), 0, top).astype(np.int64)
    return rounded


def _folds(corpora: Sequence[Corpus]) -> Iterator[tuple[list[Corpus], list[Corpus]]]:
    """For each fold, what is read and what is held out: blocks of neighbouring lines."""
    for fold in range(FOLDS):

        def part(corpus: Corpus, held_out: bool, fold: int = fold) -> Corpus:
            texts = (
                text
                for index, text in enumerate(corpus.texts)
                if (index // BLOCK % FOLDS == fold) == held_out
            )
            return Corpus(corpus.name, tuple(texts), corpus.weight)

        yield [part(corpus, False) for corpus in corpora], [part(c, True) for c in corpora]


def build_table(
    corpora: Sequence[tuple[Path, int]],
    out: Path,
    progress: Callable[[str], None] = lambda message: None,
) -> float:
    """Writes the table to ``out`` and its model card beside it; gives held-out bits a character.

    ``corpora``: JSON-lines files and their weights. Confidences are fitted to what models of the
    other folds say of each fold; the held-out figure uses those of the other folds alone.
    Raises ``SedicError`` for files that are no corpora.
    """
    texts = [read_corpus(path, weight) for path, weight in corpora]
    neutral = np.zeros(SLOTS, np.int64)
    observations = []
    for fold, (training, held_out) in enumerate(_folds(texts)):
        progress(f"fold {fold + 1} of {FOLDS}: reading")
        observations.append(observe(Model(count(training), neutral), held_out))
    bits, characters = 0.0, 0
    for fold, held in enumerate(observations):
        progress(f"fold {fold + 1} of {FOLDS}: fitting")
        others = fit(
            [observation for index, observation in enumerate(observations) if index != fold]
        )
        chance = _mix(held, others / (1 << CONFIDENCE_BITS))[1]
        bits -= float(np.log2(chance).sum())
        characters += held.characters
    progress("the final table")
    trie = count(texts)
    table = save_model(trie, fit(observations))
    write_atomically(out, table, force=True)
    rate = bits / max(1, characters)
    out.with_name("text.md").write_text(_card(texts, trie, table, rate), encoding="utf-8")
    return rate


def _card(corpora: Sequence[Corpus], trie: Trie, table: bytes, rate: float) -> str:
    rows = "\n".join(
        f"| {c.name} | {len(c.texts)} | {sum(len(t.encode()) for t in c.texts)} | {c.weight} |"
        f" {_SOURCES.get(c.name, 'not stated')} |"
        for c in corpora
    )
    arguments = " ".join(f"{c.name}:{c.weight}" for c in corpora)
    return f"""# The text model

Counts of byte strings for the `primed` text coder (`sedic/coding/primed.py`): integers only, an
xz-compressed safetensors file. It holds how often strings of at most {ORDER + 1} bytes occur in the
texts below (longer ones than {_RARE_FROM - 1} bytes only if they occur twice), not the texts.

| corpus | texts | bytes | weight | source and licence |
|---|---|---|---|---|
{rows}

- Size: {trie.symbols.size} strings, {len(table)} bytes.
- sha256: `{hashlib.sha256(table).hexdigest()}`
- Held-out rate: {rate:.3f} bits a character (excerpts of about {EXCERPT} bytes, {FOLDS} folds of
  blocks of {BLOCK} neighbouring texts; ideal code length).
- Made by `sedic train text` from {arguments}; the same files give the same table.
"""
