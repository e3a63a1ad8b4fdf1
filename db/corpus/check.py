"""Look at a whole corpus without storing anything."""

from pathlib import Path

from db.corpus.examine import examine, open_corpus
from db.corpus.report import Report
from db.corpus.settings import ImportOptions
from db.progress import Progress


def check_corpus(folder: Path, options: ImportOptions | None = None, progress: Progress | None = None) -> Report:
    """Read all of `folder`, one clip at a time, as an import would, and report; writes nothing.

    Raises UnusableCorpus where nothing could be imported at all.
    """
    options = options or ImportOptions()
    source = open_corpus(Path(folder), options)
    report = Report.of(source)
    for number, clip in enumerate(source.clips, start=1):
        report.count(examine(clip, source, options), source.original_ratings.get(clip.name, {}))
        if progress:
            progress(number, len(source.clips), clip.name)
    return report
