"""Which pages a visitor sees: researchers all of them, raters their own, everybody else the way in."""

import importlib
from pathlib import Path

import streamlit as st

from workbench.researcher import places
from workbench.session import Visitor, visitor

# Ours, since the browser would fetch a ":material/...:" icon for the tab from a server of Google's.
ICON = str(Path(__file__).with_name("icon.svg"))
STYLE = """<style>
[data-testid=stMainBlockContainer] { max-width: 88rem; padding: 2.75rem 2.5rem 4rem; }
[data-testid=stMainBlockContainer] h1 { font-size: 1.9rem; padding: 0 0 .75rem; }
[data-testid=stMainBlockContainer] h2 { font-size: 1.35rem; padding: .75rem 0 .25rem; }
[data-testid=stMainBlockContainer] h3 { font-size: 1.15rem; padding: .5rem 0 .25rem; }
[data-testid=stMetricValue] { font-size: 1.6rem; }
[data-testid=stSidebarHeader]::before {
  content: "EavaNet Workbench"; font-weight: 600; font-size: 1.05rem; margin: auto auto auto 0;
}
/* Streamlit's own download of a table is neither recorded nor safe in a spreadsheet; the pages offer theirs. */
[data-testid=stElementToolbarButton]:has([aria-label="Download as CSV"]) { display: none; }
[data-testid=stMarkdownContainer] table { width: auto; font-size: .9rem; }
[data-testid=stMarkdownContainer] thead:not(:has(th:not(:empty))) { display: none; }
@media (max-width: 640px) { [data-testid=stMainBlockContainer] { padding: 3.75rem 1rem 3rem; } }
</style>"""


def show() -> None:
    """Show the page that this visitor asked for, or the one that they may see."""
    who = visitor()
    if who.role == "rater":
        st.set_page_config(page_title="EavaNet Workbench", page_icon=ICON, layout="wide")
        rating = st.Page(lambda: _module("rater.rate").page(who), title="Rating", default=True)
        st.navigation([rating], position="hidden").run()
    elif who.role == "participant":
        st.set_page_config(page_title="EavaNet Workbench", page_icon=ICON, layout="wide")
        study = st.Page(lambda: _module("participant.take_part").page(who), title="Study", default=True)
        st.navigation([study], position="hidden").run()
    elif who.role == "researcher":
        st.set_page_config(page_title="EavaNet Workbench", page_icon=ICON, layout="wide")
        st.html(STYLE)
        page = st.navigation(researcher_pages(who))
        _module("researcher.notices").show_kept()
        page.run()
    else:
        st.set_page_config(page_title="EavaNet Workbench", page_icon=ICON)
        st.navigation([st.Page(lambda: _way_in(who), title="Welcome", default=True)], position="hidden").run()


# The researchers' pages by section of the menu: where each is, and the module whose `page` shows it.
RESEARCHER_PAGES = {
    "": [(places.OVERVIEW, "overview")],
    "Corpus": [(places.CLIPS, "corpus"), (places.IMPORT, "imports")],
    "Labelling": [(places.RATERS, "raters"), (places.PROGRESS, "labelling"), (places.RELEASES, "releases")],
    "Models": [(places.TRAIN, "training"), (places.RUNS, "runs"), (places.ANIMATE, "animate")],
    "Results": [(places.EVALUATE, "evaluate"), (places.STUDIES, "studies")],
    "Workbench": [(places.SETTINGS, "settings")],
}


def researcher_pages(who: Visitor) -> dict[str, list[st.Page]]:
    """The researchers' pages by section of the menu."""

    def page(place: places.Place, name: str) -> st.Page:
        address = {"url_path": place.url_path, "default": not place.url_path}
        return st.Page(
            lambda: _module(f"researcher.{name}").page(who), title=place.title, icon=place.icon, **address
        )

    return {section: [page(*entry) for entry in entries] for section, entries in RESEARCHER_PAGES.items()}


def load_all() -> None:
    """Load every page's module, the raters' first."""
    for name in ("rater.rate", "participant.take_part", "researcher.notices", *(
        f"researcher.{name}" for entries in RESEARCHER_PAGES.values() for _, name in entries
    )):
        _module(name)


def _module(name: str):
    # Loaded when a visitor needs it: the first page after a start does not wait for pandas and plotly.
    return importlib.import_module(f"workbench.{name}")


def _way_in(who: Visitor) -> None:
    st.title("EavaNet Workbench")
    if who.link_failed:
        st.error(
            "This personal link does not work. It may have been copied incompletely, or it was replaced or "
            "withdrawn. Please ask the person who sent it to you for a new one. Everything that you rated is safe.",
            icon=":material/link_off:",
        )
        return
    st.write(
        "Raters and participants: please open the personal link that you were given.  \n"
        "Researchers: use the sign-in link that the workbench printed when it started, or your password."
    )
    st.link_button("Sign in as a researcher", "sign-in", type="primary")
