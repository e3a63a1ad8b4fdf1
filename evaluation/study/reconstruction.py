"""A reconstruction of the paper's Table III from whole counts: a guess at its raw data, not the authors' own figures.

The paper prints percentages with two decimals. All six are reproduced by whole counts if they were cut, not rounded:
690 answers = 23 people x 30 pairs against GT and FaceFormer, 667 = 23 x 29 against CodeTalker. Who answered what is not
known, so only what assumes independence can be computed: Wilson's interval and the binomial test.
"""

from dataclasses import dataclass

from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from evaluation.published import PREFERENCES

NOTE = "a reconstruction from the printed percentages, not the authors' counts"
# Against whom, on which question: how often EavaNet was preferred, of how many answers.
COUNTS = {
    ("GT", "lip sync"): (282, 690), ("GT", "expression"): (312, 690),
    ("FaceFormer", "lip sync"): (357, 690), ("FaceFormer", "expression"): (457, 690),
    ("CodeTalker", "lip sync"): (357, 667), ("CodeTalker", "expression"): (403, 667),
}  # fmt: skip


@dataclass(frozen=True)
class Reconstructed:
    """A cell of Table III. printed: as the paper has it, in percent; share, low, high: 0 to 1; p: of one half."""

    against: str
    question: str
    count: int
    n: int
    printed: float
    share: float
    low: float
    high: float
    p: float
    method: str


def percentage(count: int, n: int, truncate: bool = True) -> str:
    """The percentage with two decimals, cut as the paper seems to have done, or rounded."""
    hundredths = count * 10_000 // n if truncate else round(count * 10_000 / n)
    return f"{hundredths // 100}.{hundredths % 100:02d}"


def reconstruct() -> list[Reconstructed]:
    """The cells with what the counts would mean if all answers were independent, which they are not."""
    found = []
    for (against, question), (count, n) in COUNTS.items():
        low, high = proportion_confint(count, n, method="wilson")
        p = float(stats.binomtest(count, n).pvalue)
        method = f"Wilson interval of {n} answers and exact binomial test, assume independence; {NOTE}"
        found.append(Reconstructed(against, question, count, n, PREFERENCES[against][question], count / n, float(low),
                                   float(high), p, method))  # fmt: skip
    return found
