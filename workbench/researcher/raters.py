"""Raters and rounds: who rates, their personal links, and the rounds in which they do."""

import pandas as pd
import streamlit as st

from db import access, catalogue
from db.session import reading, writing
from labeling import assignment, simulate
from workbench import texts
from workbench.researcher import links, notices, places
from workbench.researcher.downloads import downloads
from workbench.researcher.rounds import show_rounds
from workbench.session import Visitor, engine


def page(who: Visitor) -> None:
    """Links that were just made at the top; below them raters and rounds."""
    st.title("Raters and rounds", anchor=False)
    links.show_new_links(places.RATERS.url_path)
    with reading(engine()) as session:
        raters = catalogue.raters(session)
        rounds = catalogue.rounds(session)
    people, labelling = st.tabs(
        ["Raters", "Labelling rounds"], default="Labelling rounds" if len(raters) and not rounds else "Raters"
    )
    with people:
        _raters(raters, who)
    with labelling:
        show_rounds(rounds, raters, who)


def _raters(raters: pd.DataFrame, who: Visitor) -> None:
    if raters.empty:
        st.write(
            "Raters need no account: each comes by a personal link. Create them here, and send each their own link."
        )
    else:
        _table(raters, who)
    with st.container(border=True):
        _new_raters(who)
    with reading(engine()) as session:
        synthetic = [corpus.name for corpus in catalogue.corpora(session) if corpus.synthetic]
    if synthetic:
        with st.expander("Simulated raters, to try things out", icon=":material/smart_toy:"):
            _simulated(synthetic, who)


def _simulated(synthetic: list[str], who: Visitor) -> None:
    st.write(
        f"A program can play raters on the synthetic corpus {' or '.join(synthetic)}. It errs as people do, and "
        "wherever its answers count, the pages say that they are simulated."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        number = st.number_input("How many", 1, 30, 5, width=140)
        if st.button("Add simulated raters", icon=":material/smart_toy:"):
            with writing(engine()) as session:
                simulate.add_simulated_raters(session, int(number), who.viewer)
            notices.once(f"{number} simulated raters were added. Start a round with them.", ":material/smart_toy:")
            st.rerun()


def _new_raters(who: Visitor) -> None:
    languages = texts.languages()
    with st.form("new raters", border=False, clear_on_submit=True):
        st.markdown("**Create raters**")
        left, right = st.columns([3, 1])
        names = left.text_area("Names, one per line", placeholder="Kim\nLee\nPark", height=110, max_chars=4000,
                               help="Raters do not see one another's names. Initials or numbers are fine.")  # fmt: skip
        language = right.selectbox("Language of their pages", list(languages), format_func=languages.get)
        sent = st.form_submit_button("Create and make their links", type="primary", icon=":material/person_add:")
    if not sent:
        return
    wanted = [name.strip() for name in names.splitlines() if name.strip()]
    if not wanted:
        notices.refusal(ValueError("write at least one name"))
        return
    try:
        with writing(engine()) as session:  # all of them or none
            made = [access.add_rater(session, name, language, who.viewer) for name in wanted]
    except ValueError as error:
        notices.refusal(error)
        return
    links.keep([(rater.name, token) for rater, token in made])
    st.rerun()


def _table(raters: pd.DataFrame, who: Visitor) -> None:
    shown = raters.assign(share=100.0 * raters["done"] / raters["given"].clip(lower=1))
    picked = st.dataframe(
        shown, hide_index=True, on_select="rerun", selection_mode="single-row", key="raters", placeholder="",
        height="content" if len(shown) < 12 else 440,
        column_order=["rater", "kind", "link", "language", "given", "done", "share", "last_at"],
        column_config={
            "rater": st.column_config.TextColumn("Rater", pinned=True),
            "kind": "Kind", "link": "Link", "language": "Language",
            "given": st.column_config.NumberColumn("Given", help="Clips in all rounds, hidden repeats included"),
            "done": "Rated",
            "share": st.column_config.ProgressColumn("Progress", format="%.0f%%", min_value=0, max_value=100),
            "last_at": st.column_config.DatetimeColumn("Last answer (UTC)", format="YYYY-MM-DD HH:mm", timezone="UTC"),
        },
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center"):
        rows = picked.selection.rows
        if rows and rows[0] < len(raters):
            _actions(raters.iloc[rows[0]], who)
        else:
            st.caption("Choose a rater in the table to replace or withdraw their link.")
        st.space("stretch")
        downloads("raters", lambda: raters, who, what="raters")


def _actions(rater: pd.Series, who: Visitor) -> None:
    st.markdown(f"**{rater['rater']}**")
    if rater["kind"] != "person":
        st.caption("is no person who could use a link.")
        return
    if st.button("New link", icon=":material/link:", help="The old link stops working"):
        _replace_link(rater, who)
    if rater["link"] != "withdrawn" and st.button("Withdraw", icon=":material/link_off:"):
        _withdraw(rater, who)


@st.dialog("A new personal link")
def _replace_link(rater: pd.Series, who: Visitor) -> None:
    if rater["link"] == "withdrawn":
        st.write(f"**{rater['rater']}** can come in again with a new link.")
    else:
        st.write(f"The link that **{rater['rater']}** has now stops working. Nothing that they rated is lost.")
    if st.button("Make a new link", type="primary"):
        with writing(engine()) as session:
            token = access.rotate_token(session, int(rater["rater_id"]), who.viewer)
        links.keep([(rater["rater"], token)])
        st.rerun()


@st.dialog("Withdraw a rater")
def _withdraw(rater: pd.Series, who: Visitor) -> None:
    st.write(
        f"The link of **{rater['rater']}** stops working at once. The {rater['done']:,} clips that they rated stay and "
        f"count. The {rater['open']:,} that they have not rated yet are given to the other raters of their rounds."
    )
    if st.button("Withdraw", type="primary", icon=":material/link_off:"):
        with writing(engine()) as session:
            freed = assignment.release_rater(session, int(rater["rater_id"]), who.viewer)
            access.revoke_rater(session, int(rater["rater_id"]), who.viewer)
        notices.once(
            f"{rater['rater']} is withdrawn; {freed:,} open clips were freed for others.", ":material/link_off:"
        )
        st.rerun()
