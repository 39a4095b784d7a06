"""What words are worth in small files: held-out photographs coded with and without a sentence, in
equally many bytes.

Words take bytes from the reference image. What they give back is measured in two ways: in the
picture, before and after the restorer reads them, and in search: how far up a picture stands when
the files of all pictures are ordered by how many words of a query they hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from textwrap import fill
from typing import TYPE_CHECKING

from sedic.decoder import Decoder
from sedic.describe.description import Description
from sedic.encoder import Encoder
from sedic.errors import SedicError
from sedic.lab.bench.metrics import Metric, load_metric
from sedic.search import words_of
from sedic.semantics import MAX_OBJECTS, Rate

if TYPE_CHECKING:
    from sedic.picture import Picture
    from sedic.profile import Profile

SIZE = 480, 320  # pixels of the photographs
RESTORED_PICTURES = 4  # of all, because the restorer takes most of the time
LIMITS = 100, 157, 222, 340  # bytes
WORDS = 0, 12, 24  # of the sentence, at most
METRICS = "LPIPS-squeeze (Caffe) moved", "HaarPSI", "GMSD", "same class", "class distance"
RESTORED = "LPIPS-squeeze (Caffe) moved", "same class", "class distance"  # of restored pictures
DESCRIBERS = "named", "measured"
_GENEROUS = Rate(1 << 20, MAX_OBJECTS, 50, 80)

Tell = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Outcome:
    """One picture in a file of ``limit`` bytes at most with ``words`` words at most."""

    picture: int
    limit: int
    words: int
    text_bytes: int  # what the words cost, with their share of the header
    text: str
    values: Mapping[str, float]


def measure(
    profile: Profile, pictures: Sequence[Picture], tell: Tell
) -> tuple[list[Outcome], list[dict[str, str]]]:
    """Every picture at every limit with every number of words, and what describers say of it.

    The first ``RESTORED_PICTURES`` pictures are also restored by the networks that read the words.
    ``SedicError`` where a metric is not available.
    """
    metrics = list(_metrics())
    encoder, decoder = Encoder(profile), Decoder(profile)
    outcomes, said = [], []
    for number, picture in enumerate(pictures):
        tell(number, len(pictures), f"picture {number}")
        descriptions = {
            name: encoder.describe(picture, _GENEROUS, describer=name).description
            for name in DESCRIBERS
        }
        said.append({name: _all_words(text) for name, text in descriptions.items()})
        overall = Description(descriptions[DESCRIBERS[0]].overall)
        for limit in LIMITS:
            silent = None
            for words in WORDS:
                rate = Rate(limit, 0, overall_words=words)
                done = encoder.compress(picture, rate, overall)
                seen = done.preview
                values = {metric.name: metric.measure(seen, picture, "") for metric in metrics}
                if number < RESTORED_PICTURES:
                    seen = decoder.decompress(done.data)
                    values |= {
                        f"restored, {metric.name}": metric.measure(seen, picture, "")
                        for metric in metrics
                        if metric.name in RESTORED
                    }
                reference = len(done.image.reference.data)
                silent = silent if silent is not None else len(done.data) - reference
                taken = len(done.data) - reference - silent
                text = done.image.overall
                outcomes.append(Outcome(number, limit, words, taken, text, values))
    return outcomes, said


def ranks(texts: Sequence[str], queries: Sequence[str]) -> list[float]:
    """For each query the place of the text with its number, from 1, when all texts are ordered by
    how many different words of the query they have; among equals, the mean of their places."""
    held = [set(words_of(text)) for text in texts]
    places = []
    for number, query in enumerate(queries):
        wanted = set(words_of(query))
        scores = [len(wanted & words) for words in held]
        above = sum(score > scores[number] for score in scores)
        equal = sum(score == scores[number] for score in scores)
        places.append(above + (equal + 1) / 2)
    return places


def table(outcomes: Sequence[Outcome], said: Sequence[Mapping[str, str]]) -> str:
    """Means over pictures as a Markdown table, and the differences that a sentence makes."""
    names = [name for name in outcomes[0].values if name in METRICS]
    restored = [name for name in outcomes[0].values if name not in METRICS]
    searched = [f"rank, words of {name}" for name in DESCRIBERS]
    columns = ["bytes at most", "words at most", "bytes of words", *names, *restored, *searched]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for limit in LIMITS:
        for words in WORDS:
            chosen = [one for one in outcomes if (one.limit, one.words) == (limit, words)]
            cells = [str(limit), str(words), f"{fmean(one.text_bytes for one in chosen):.1f}"]
            for name in (*names, *restored):
                known = [one.values[name] for one in chosen if name in one.values]
                cells.append(f"{fmean(known):.3f}")
            texts = [one.text for one in chosen]
            for name in DESCRIBERS:
                places = ranks(texts, [one[name] for one in said])
                cells.append(f"{fmean(places):.1f}")
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def page(outcomes: Sequence[Outcome], said: Sequence[Mapping[str, str]], command: str) -> str:
    """The table with what it shows and how it was made."""
    count = len(said)
    most = " and ".join(f"at most {words}" for words in WORDS[1:])
    about = (
        f"{count} held-out photographs of {SIZE[0]}x{SIZE[1]}, each coded in equally many bytes"
        f" without words and with {most} on the whole picture. Values without `restored` are of"
        " the decoded reference image, on which words act only through the bytes that they take;"
        f" those with it are of the first {RESTORED_PICTURES} photographs alone, restored by the"
        f" networks that read the words. Rank: the mean place of the right picture among {count},"
        " when files are ordered by how many words of a query they hold"
        f" ({(count + 1) / 2} is chance). The query is all that a describer says of the picture,"
        " with up to three objects."
    )
    head = f"# What a sentence is worth\n\nMade by `{command}`.\n\n{fill(about, 100)}\n\n"
    return head + table(outcomes, said)


def _metrics() -> Iterator[Metric]:
    for name in METRICS:
        metric = load_metric(name)
        if not isinstance(metric, Metric):
            raise SedicError(str(metric))
        yield metric


def _all_words(description: Description) -> str:
    return " ".join([description.overall, *(layer.detail for layer in description.objects)])
