"""The closed vocabulary of the measured description.

Each ``Scale`` turns one measured number into a word: that of the first step whose limit is above
the number. The limits are lightness L* (0 to 100), chroma or shares, unless a comment says
otherwise. A text coder that was trained on these words needs few bytes for them.
"""

from __future__ import annotations

from math import inf

Scale = tuple[tuple[float, str], ...]


def say(scale: Scale, value: float) -> str:
    """The word of ``scale`` for ``value``; "" where the scale has none."""
    return next(word for limit, word in scale if value < limit)


# Colours: sRGB points, several to a name where one does not cover it. A pixel has the name of the
# nearest point (CIELAB, lightness counted less than hue). At most two words a name.
PALETTE: dict[str, tuple[str, ...]] = {
    "black": ("0a0a0a", "1c1a18", "151a20"),
    "dark grey": ("3c3c3c", "4c4a48"),
    "grey": ("767676", "8c8a88"),
    "pale grey": ("b4b4b4", "c9c9c9"),
    "white": ("e8e8e8", "fafafa"),
    "dark blue-grey": ("323c48",),
    "blue-grey": ("64727f", "7a8a99"),
    "dark brown": ("33221a", "47301f"),
    "brown": ("6f4a2e", "875f3d"),
    "pale brown": ("a98763", "b59878"),
    "grey-brown": ("6b6054", "8d8070"),
    "beige": ("cdbb9d", "ddd0b8"),
    "dark red": ("4e1414", "6e1c1c"),
    "red": ("a03028", "b84a44"),
    "vivid red": ("dc1c1c",),
    "dark pink": ("a8506a",),
    "pink": ("d88f98", "ecc0c4", "ff96ff"),
    "vivid pink": ("e83c90", "ff00d2"),
    "orange": ("c87434", "d89058"),
    "vivid orange": ("ff7c0a", "f0a500"),
    "pale orange": ("e4b48c",),
    "dark yellow": ("8c7420", "a88c2c"),
    "yellow": ("ccb04c", "dcc870"),
    "vivid yellow": ("f8dc14",),
    "pale yellow": ("efe6b4",),
    "dark olive": ("2e2c18", "3e3c20"),
    "olive": ("5c5a30", "7c7844"),
    "dark green": ("18301c", "2c4a28"),
    "green": ("40703c", "5e8444", "80a050", "0f7800", "00a068"),
    "vivid green": ("2cc832", "78d81e", "00ff00"),
    "pale green": ("a8c48c", "c4dcb4", "87e178"),
    "grey-green": ("5e6a58", "86907c"),
    "dark teal": ("10383a",),
    "teal": ("2c7878", "5c9898"),
    "turquoise": ("3cc4bc", "00ffb4", "00d2ff"),
    "pale turquoise": ("acd8d4",),
    "dark blue": ("101c44", "1c3058"),
    "blue": ("2c54a0", "2442b0", "4878b0", "6c98cc"),
    "vivid blue": ("1430e8", "0c78f0"),
    "pale blue": ("98bce0", "c0d6ec"),
    "dark purple": ("34204a",),
    "purple": ("6c4488", "8870a8", "870087"),
    "vivid purple": ("9c24d8",),
    "pale purple": ("bca8d4", "d8cce8"),
}

# The noun in an object's name, after its colour: only its form is measured.
STRIP, AREA, OBJECT = "strip", "area", "object"

# Texture, which a heavily blurred reference image loses.
STRENGTH: Scale = (  # mean local contrast of all bands, L*; {} is the coarseness
    (0.8, "smooth shading"),
    (1.8, "almost smooth shading"),
    (4.0, "faint {} texture"),
    (7.0, "clear {} texture"),
    (11.0, "strong {} texture"),
    (inf, "very strong {} texture"),
)
DETAIL: Scale = (  # the same number, of a whole picture
    (0.5, "no detail"),
    (2.0, "very little {} detail"),
    (3.6, "little {} detail"),
    (6.0, "some {} detail"),
    (9.0, "much {} detail"),
    (inf, "very much {} detail"),
)
COARSENESS: Scale = (  # typical width of the details, pixels
    (2.2, "very fine"),
    (2.6, "fine"),
    (3.2, ""),
    (3.8, "coarse"),
    (inf, "very coarse"),
)
SHARPNESS: Scale = (  # blur of the edges, pixels (standard deviation)
    (0.35, "very sharp"),
    (0.85, "sharp"),
    (1.25, "slightly soft"),
    (1.8, "soft"),
    (inf, "blurred"),
)
GRAIN: Scale = ((1.5, ""), (3.0, "slightly grainy"), (inf, "grainy"))  # noise, L*
HIDES_GRAIN = 5.0  # strength from which noise cannot be told from texture
EVENNESS: Scale = ((0.42, "even"), (0.95, ""), (inf, "patchy"))  # deviation / mean of strength
DIRECTION: Scale = ((0.38, ""), (0.6, "mostly {}"), (inf, "{}"))  # coherence
LINES = (
    "vertical lines",
    "lines rising to the right",
    "horizontal lines",
    "lines falling to the right",
)
CROSSED: Scale = ((0.38, ""), (inf, "vertical and horizontal lines"))  # fourfold coherence
REGULARITY: Scale = ((0.35, ""), (0.6, "a repeating pattern"), (inf, "a regular pattern"))

# Light.
LIGHT: Scale = (
    (18.0, "very dark"),
    (34.0, "dark"),
    (48.0, "rather dark"),
    (62.0, "medium bright"),
    (76.0, "bright"),
    (inf, "very bright"),
)
COLOURFULNESS: Scale = (  # mean chroma
    (2.5, "colourless"),
    (9.0, "muted"),
    (18.0, "softly coloured"),
    (30.0, "colourful"),
    (inf, "vividly coloured"),
)
CONTRAST: Scale = (  # deviation of lightness
    (4.0, "very low contrast"),
    (9.0, "low contrast"),
    (21.0, ""),
    (27.0, "strong contrast"),
    (inf, "very strong contrast"),
)
SHADING = 20.0  # L* from one side to the other, of a region with "lighter at the ..."
STANDS_OUT = 10.0  # L* by which a region differs from its surroundings
TEXTURED = 1.8  # strength of a texture whose evenness is described
GATHERS = 1.4  # strength in the middle over that around it, or the reverse, that is described
LAYOUT = 22.0  # by how much opposite thirds must differ (colour, L*a*b*, and texture)
SECOND_COLOUR = 0.17  # share of a region

BACKDROP = 0.15  # share of the picture behind all objects, of a background that is described
OUT_OF_FOCUS = ("soft", "blurred")  # sharpness that makes a background a blurred one

# Form and place. The mask shows these, too, so they come last.
SIZE: Scale = ((0.03, "small"), (0.1, "medium-sized"), (0.25, "large"), (inf, "very large"))
COLUMNS: Scale = ((0.36, "left"), (0.64, ""), (inf, "right"))
ROWS: Scale = ((0.36, "top"), (0.64, ""), (inf, "bottom"))
SIDES = ("left", "right", "top", "bottom")
FULL, ROUND = 0.8, 0.95  # area against the ellipse of the same moments
OBLONG, THIN = 1.5, 4.5  # long side by short
CUT_OFF = 0.2  # share of an area's outline that is the picture's border
FORMS = ("round", "tall", "wide", "slanting", "compact", "irregular")

_PHRASES = (
    "a picture mostly and with partly at the most least detail in the middle"
    " lighter darker rougher smoother than its surroundings in front of an plain background"
)


def words() -> frozenset[str]:
    """Every word that a measured description may hold, without commas."""
    look = (STRENGTH, DETAIL, COARSENESS, SHARPNESS, GRAIN, EVENNESS, DIRECTION, CROSSED)
    rest = (REGULARITY, LIGHT, COLOURFULNESS, CONTRAST, SIZE, COLUMNS, ROWS)
    words = [word for scale in (*look, *rest) for _, word in scale]
    words += [*PALETTE, *LINES, *SIDES, *FORMS, STRIP, AREA, OBJECT, _PHRASES]
    return frozenset(" ".join(words).replace(",", "").replace("{}", "").split())
