"""Who rates which clip next, and what label does a clip end up with?

Assignment of clips to raters, ratings as append-only revisions, the paper's Algorithm 1, agreement between raters,
label releases, and CSV in and out. Nothing here knows how a clip is stored (`db`), shown (`workbench`), or learned
from (`eavanet`).
"""
