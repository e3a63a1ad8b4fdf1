"""What studies of a corpus found, for Tables III and V of the report; or why there is nothing to print yet."""

from dataclasses import dataclass

from sqlalchemy import Engine, select

from db.models import Corpus
from db.session import writing
from db.study_models import Study
from evaluation.study import overseeing
from evaluation.study.analysis import Study as Analysed
from evaluation.study.analysis import analyse
from evaluation.study.design import Design
from evaluation.study.exclusions import Rules

TITLES = {"ab": "A/B", "mos": "MOS"}
ACTOR = "report"


@dataclass(frozen=True)
class StudyFound:
    """The newest unblinded study of a kind, analysed by its frozen rules; or `why` there is none."""

    name: str = ""
    analysed: Analysed | None = None
    sources: dict[str, str] | None = None
    why: str = ""

    @property
    def marks(self) -> list[str]:
        """What its numbers are not."""
        simulated = self.analysed.simulated if self.analysed else 0
        return ["answers by simulated participants"] if simulated else []


def find_studies(engine: Engine, corpus: Corpus) -> dict[str, StudyFound]:
    """By kind, "ab" and "mos". That responses were read is put on record, as every export is."""
    return {kind: _find(engine, corpus, kind) for kind in TITLES}


def _find(engine: Engine, corpus: Corpus, kind: str) -> StudyFound:
    with writing(engine) as session:
        studies = session.scalars(
            select(Study).where(Study.corpus_id == corpus.id, Study.kind == kind, Study.launched_at.is_not(None))
            .order_by(Study.id.desc())
        ).all()  # fmt: skip
        if not studies:
            return StudyFound(why=f"no {TITLES[kind]} study has been run on corpus {corpus.name} (Studies page)")
        study = next((one for one in studies if one.unblinded_at is not None), None)
        if study is None:
            return StudyFound(why=f"study {studies[0].name} is still blind; unblind it on the Studies page")
        design = Design.from_dict(study.design)
        name, sha256 = f"{study.name}, version {study.version}", study.design_sha256 or ""
        try:
            responses = overseeing.responses(session, study.id, ACTOR)
        except ValueError as error:
            return StudyFound(why=str(error))
    scale = (float(design.scale.low), float(design.scale.high)) if design.scale else (1.0, 5.0)
    try:
        found = analyse(
            responses, Rules.from_dict(dict(design.analysis.exclusion)),
            planned=design.n_main * len(design.questions), scale=scale,
        )  # fmt: skip
    except ValueError as error:
        return StudyFound(why=f"study {name}: {error}")
    return StudyFound(name, found, {"study design": sha256})
