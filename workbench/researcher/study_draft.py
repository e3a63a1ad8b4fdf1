"""A draft: what stands in the way of its launch, its design as it will be frozen, and the launch."""

import json

import streamlit as st

from db.session import reading, writing
from db.study_models import Study
from evaluation.study import drafts
from evaluation.study.design import Design, text_in
from workbench import jobs
from workbench.researcher import notices
from workbench.session import Visitor, engine


def show_draft(study: Study, who: Visitor) -> None:
    """Problems, the design, edits, and the launch."""
    design = Design.from_dict(study.design)
    with reading(engine()) as session:
        problems = drafts.check(session, study)
        launching = any(job.status == "running" and job.command[:3:2] == ["evaluation.study.command_launch", study.name]
                        for job in jobs.list_jobs(session))  # fmt: skip
    for problem in problems:
        st.error(problem, icon=":material/block:")
    _words(design)
    if not problems:
        st.write(
            "The launch draws the films of every clip and system, pads those of a clip to one size, and freezes the "
            "design with its hash. After that it cannot be changed; a change makes a new version."
        )
    if st.button("Launch", type="primary", icon=":material/rocket_launch:", disabled=bool(problems) or launching):
        command = ["evaluation.study.command_launch", "launch", study.name, "--version", str(study.version)]
        jobs.start(engine(), f"Launch {study.name}", command, who.viewer)
        st.rerun()
    _edit(study, who)


def _words(design: Design) -> None:
    left, right = st.columns(2)
    with left:
        st.markdown(f"**{text_in(design.title, 'en')}**")
        pairs = [f"{first} vs {second}" for first, second in design.comparisons] or [one.name for one in design.systems]
        st.markdown("\n".join(f"- {pair}" for pair in pairs))
        st.markdown("\n".join(f"- “{text_in(question.text, 'en')}”" for question in design.questions))
    with right:
        rules = [f"{name.replace('_', ' ')}: {value}" for name, value in design.analysis.exclusion.items()]
        st.markdown(
            f"{design.participants} participants, {design.clips.number} clips, {design.n_main} trials that count, "
            f"{design.catch.count} catch trials, {design.practice} to practise  \n"
            f"Exclusion rules: {', '.join(rules) or 'none'}  \nPlanned interval: {design.analysis.interval}, "
            f"correction: {design.analysis.correction}"
        )


def _edit(study: Study, who: Visitor) -> None:
    with st.expander("The design as text: instructions, consent, languages, everything", icon=":material/edit:"):
        text = st.text_area("Design (JSON)", json.dumps(study.design, indent=1, ensure_ascii=False), height=420,
                            key=f"design {study.id}")  # fmt: skip
        if st.button("Save the design", icon=":material/save:"):
            try:
                design = Design.from_dict(json.loads(text))
                with writing(engine()) as session:
                    drafts.edit(session, study.id, design, who.viewer)
            except ValueError as error:
                notices.refusal(error)
            else:
                notices.once("Saved.")
                st.rerun()
