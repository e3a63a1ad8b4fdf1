"""Colours and marks of emotions, speakers and heads: the same in every figure, on paper and on the screen.

The colours are Okabe and Ito's ("Color Universal Design", 2008), told apart with any colour vision; no two groups of
a picture share both colour and mark, so that they are told apart in print without colour, too.
"""

from collections.abc import Sequence

from evaluation.emotions import EMOTIONS

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
VERMILION, SKY, YELLOW, GREY = "#D55E00", "#56B4E9", "#F0E442", "#6B6B6B"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY, GREY)
# matplotlib's name of a mark, and plotly's
MARKS = (
    ("o", "circle"), ("^", "triangle-up"), ("s", "square"), ("D", "diamond"), ("v", "triangle-down"), ("P", "cross"),
)  # fmt: skip
OF_EMOTIONS = dict(zip(EMOTIONS, (ORANGE, VERMILION, BLUE, GREY), strict=True))


def look(groups: Sequence[str]) -> dict[str, tuple[str, tuple[str, str]]]:
    """Colour and mark of each group, in the order given; emotions have their own colours."""
    free = [colour for colour in COLOURS if colour not in OF_EMOTIONS.values()]
    colours = COLOURS if not set(groups) & set(OF_EMOTIONS) else free
    return {
        group: (OF_EMOTIONS.get(group, colours[i % len(colours)]), MARKS[i % len(MARKS)])
        for i, group in enumerate(groups)
    }
