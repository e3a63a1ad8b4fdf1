"""A new study: from one of the paper's two, with the systems, clips and rules of one's own; and what it will tell."""

import math
from dataclasses import replace

import streamlit as st
from sqlalchemy import select

from db.models import Corpus, Split
from db.predictions import list_sets
from db.result_models import PredictionSet
from db.session import reading, writing
from evaluation.study import drafts, planning, presets
from evaluation.study.design import AnalysisPlan, Catch, Clips, Design, Question, System
from workbench.researcher import notices, places
from workbench.session import Visitor, engine

PRESETS = {"ab": "Like Table III: A/B, which is better?", "mos": "Like Table V: MOS, how strongly?"}
ENTRIES = {"personal": "Personal links", "open": "One link for everybody", "prolific": "Prolific"}
OWN = "own_question"


def new_study(corpora: list[Corpus], who: Visitor, expanded: bool = False) -> None:
    """The form; making a draft shows nothing to anybody yet."""
    with st.expander("New study", icon=":material/add:", expanded=expanded):
        left, middle, right = st.columns([2, 1, 2])
        kind = left.radio("Begin from", list(PRESETS), format_func=PRESETS.get, key="study preset")
        corpus = middle.selectbox("Corpus", corpora, format_func=lambda one: one.name, key="study corpus")
        name = right.text_input("Name of the study", key="study name", placeholder="table-iii", max_chars=64)
        with reading(engine()) as session:
            sets = list_sets(session, corpus.id)
            splits = session.scalars(select(Split).where(Split.corpus_id == corpus.id).order_by(Split.id.desc())).all()
        if not sets or not splits:
            notices.nothing_here("This corpus has no predictions, or no split to draw clips from.",
                                 "Train and predict first.", places.EVALUATE, "Evaluate")  # fmt: skip
            return
        try:
            design = _ab(sets, list(splits)) if kind == "ab" else _mos(sets, list(splits))
        except ValueError as error:
            notices.refusal(error)
            return
        if design is None:
            return
        st.caption(f"{design.n_trials} trials for each: {design.n_main} that count, {design.practice} for practice, "
                   f"{design.catch.count} catch trials; about {_minutes(design)} minutes.")  # fmt: skip
        _planner(design)
        if st.button("Make a draft", type="primary", icon=":material/draft:", disabled=not name.strip()):
            try:
                with writing(engine()) as session:
                    study = drafts.create(session, name.strip(), design, corpus.id, who.viewer)
                    st.session_state["chosen study"] = study.id
            except ValueError as error:
                notices.refusal(error)
            else:
                notices.once("The draft is made. Nobody sees it before it is launched.")
                st.rerun()


def _minutes(design: Design) -> int:
    films = 2 if design.kind == "ab" else 1
    return math.ceil(design.n_trials * (films * 4.5 + 4) / 60)


def _ab(sets: list[PredictionSet], splits: list[Split]) -> Design | None:
    names = {one.name: one for one in sets if one.part in ("biwi-b", None)} or {one.name: one for one in sets}
    left, right = st.columns(2)
    ours = next((name for name, one in reversed(names.items())
                 if one.system == "EavaNet" and one.intensity in (None, 1.0)), next(iter(names)))  # fmt: skip
    subject = left.selectbox("System that is compared", list(names), index=list(names).index(ours), key="study subject")
    others = right.multiselect(
        "Against", [presets.TRUTH, *(name for name in names if name != subject)],
        default=[presets.TRUTH, *_newest_of_others(names, subject)],
        key="study others", help="GT is the recorded clip itself",
    )  # fmt: skip
    if not others:
        st.caption("Choose at least one system to compare with.")
        return None
    systems = {name: _system(names, name) for name in (subject, *others)}
    if len({one.name for one in systems.values()}) < len(systems):
        systems = {name: System(name, None if name == presets.TRUTH else name) for name in systems}
    common = _common(splits, presets.TABLE_III_CLIPS, presets.TABLE_III_PARTICIPANTS, catches=3)
    questions = _questions(common)
    if not questions:
        st.caption("Ask at least one question.")
        return None
    no_preference = st.toggle("“No preference” is an answer", key="study ties", help="The paper forces a choice")
    catch = common.pop("catch")
    if catch.count:
        catch = Catch("shifted", catch.count, question=questions[0].key)
    clips = common.pop("clips")
    design = presets.paper_table_iii(
        systems[subject], [systems[name] for name in others], split=clips.split, questions=questions,
        no_preference=no_preference, catch=catch, **common,
    )  # fmt: skip
    return replace(design, clips=clips)


def _newest_of_others(names: dict[str, PredictionSet], subject: str) -> list[str]:
    """Of each other system the newest set in which every clip has its own emotion."""
    newest = {one.system: name for name, one in names.items() if one.emotion is None and one.intensity in (None, 1.0)}
    return [name for system, name in newest.items() if system != names[subject].system]


def _system(names: dict[str, PredictionSet], name: str) -> System:
    return System(presets.TRUTH) if name == presets.TRUTH else System(names[name].system, name)


def _questions(common: dict) -> tuple[Question, ...]:
    asked = st.multiselect("Questions", ["lip_sync", "expression"], default=["lip_sync", "expression"],
                           key="study questions", format_func=lambda key: key.replace("_", " "))  # fmt: skip
    known = {presets.LIP_SYNC.key: presets.LIP_SYNC, presets.EXPRESSION.key: presets.EXPRESSION}
    own = st.text_input("A question of your own", key="study own question", max_chars=300)
    if own.strip():
        known[OWN] = Question(OWN, dict.fromkeys(common["languages"], own.strip()))
        asked = [*asked, OWN]
    return tuple(known[key] for key in asked)


def _mos(sets: list[PredictionSet], splits: list[Split]) -> Design | None:
    names = {one.name: one for one in sets if one.run is not None and one.part in ("biwi-b", None)}
    emotional = {name: one for name, one in names.items() if one.intensity is not None}
    chosen = st.multiselect(
        "Conditions", list(emotional or names), default=_alphas(emotional), key="study conditions",
        help="In the paper alpha 0, 0.3 and 1 of Eq. (8), each a prediction set (Evaluate, “Add predictions”)",
    )  # fmt: skip
    if len(chosen) < 2:
        st.caption("Choose at least two conditions.")
        return None
    subjects = sorted({row.condition_subject.name for row in _conditions(names[chosen[0]])})
    if not subjects:
        st.caption("These predictions have no condition subject.")
        return None
    index = subjects.index("F4") if "F4" in subjects else 0
    subject = st.selectbox("Condition subject", subjects, index=index, key="study condition subject",
                           help="Whose way of speaking all clips have; F4 in the paper")  # fmt: skip
    common = _common(splits, presets.TABLE_V_CLIPS, presets.TABLE_V_PARTICIPANTS, catches=0)
    common.pop("catch")
    shown = {_condition_name(names[name]): name for name in chosen}
    if len(shown) < len(chosen):
        shown = {name: name for name in chosen}
    clips = common.pop("clips")
    return replace(presets.paper_table_v(shown, subject, split=clips.split, **common), clips=clips)


def _conditions(one: PredictionSet) -> list:
    from db.predictions import predictions_of

    with reading(engine()) as session:
        return [row for row in predictions_of(session, one.id) if row.condition_subject is not None]


def _alphas(emotional: dict[str, PredictionSet]) -> list[str]:
    newest = {one.intensity: name for name, one in emotional.items() if one.emotion is None}
    return [newest[alpha] for alpha in sorted(newest) if alpha in (0.0, 0.3, 1.0)]


def _condition_name(one: PredictionSet) -> str:
    return {0.0: "Neutral", 1.0: "Emotion"}.get(one.intensity, f"alpha {one.intensity:g}")


def _common(splits: list[Split], clips: int, participants: int, catches: int) -> dict:
    """What both kinds have."""
    one, two, three, four = st.columns(4)
    split = one.selectbox("Clips from split", [split.name for split in splits], key="study split",
                          help="Drawn from its BIWI-B, balanced over emotions and subjects")  # fmt: skip
    count = two.number_input("Clips", 2, 200, clips, key=f"study clips {clips}")
    people = three.number_input("Participants", 2, 10_000, participants, key=f"study people {participants}")
    catch = four.number_input("Catch trials", 0, 20, catches, key=f"study catches {catches}",
                              help="The sound comes half a second late; a listener hears that")  # fmt: skip
    one, two, three = st.columns(3)
    entry = one.selectbox("Participants come by", list(ENTRIES), format_func=ENTRIES.get, key="study entry")
    code = two.text_input("Prolific's completion code", key="study code") if entry == "prolific" else ""
    failures = three.number_input("Leave out who fails more catch trials than", 0, 20, 1, key="study rule",
                                  disabled=not catch)  # fmt: skip
    languages = st.multiselect("Languages", ["en", "ko"], default=["en", "ko"], key="study languages",
                               help="Other languages by a design file: python -m evaluation.study design")  # fmt: skip
    if not languages:
        raise ValueError("choose at least one language")
    rules = {"max_catch_failures": int(failures)} if catch else {}
    return {
        "clips": Clips((), split, count=int(count)), "participants": int(people), "entry": entry,
        "completion_code": code.strip(), "languages": tuple(languages),
        "catch": Catch("shifted", int(catch)) if catch else Catch(), "analysis": AnalysisPlan(exclusion=rules),
    }  # fmt: skip


def _planner(design: Design) -> None:
    """How sure the result will be, by simulating the design."""
    with st.container(border=True):
        left, right = st.columns([3, 1], vertical_alignment="bottom")
        if design.kind == "ab":
            effect = left.slider(
                "Suppose that so many prefer the first system", 0.5, 0.95, 0.6, 0.01, key="study effect"
            )
            planned = planning.Design(
                "ab", design.participants, design.clips.number, comparisons=len(design.comparisons), effect=effect
            )
        else:
            effect = left.slider("Suppose that two conditions differ by so many points", 0.1, 2.0, 0.5, 0.05,
                                 key="study difference")  # fmt: skip
            planned = planning.Design(
                "mos", design.participants, design.clips.number, comparisons=len(design.systems), effect=effect,
                sd_participant=planning.TABLE_V.sd_participant, sd_item=planning.TABLE_V.sd_item,
                sd_rest=planning.TABLE_V.sd_rest,
            )  # fmt: skip
        if right.button("Plan", icon=":material/query_stats:", help="Simulates this design a thousand times"):
            st.markdown("\n".join(f"- {sentence}" for sentence in planning.plan(planned).sentences))
