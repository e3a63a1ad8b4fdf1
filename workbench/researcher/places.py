"""Where the researchers' pages are, and links from one to another."""

from dataclasses import dataclass
from typing import NoReturn

import streamlit as st


@dataclass(frozen=True)
class Place:
    """A page's address below the app's, its title in the menu, and its icon."""

    url_path: str
    title: str
    icon: str


OVERVIEW = Place("", "Overview", ":material/home:")
CLIPS = Place("clips", "Clips", ":material/movie:")
IMPORT = Place("import", "Import", ":material/upload:")
RATERS = Place("raters", "Raters and rounds", ":material/group:")
PROGRESS = Place("progress", "Progress and agreement", ":material/checklist:")
RELEASES = Place("releases", "Label releases", ":material/new_releases:")
TRAIN = Place("train", "Train", ":material/model_training:")
RUNS = Place("runs", "Runs", ":material/monitoring:")
ANIMATE = Place("animate", "Animate", ":material/face:")
EVALUATE = Place("evaluate", "Evaluate", ":material/bar_chart:")
STUDIES = Place("studies", "Studies", ":material/how_to_vote:")
SETTINGS = Place("settings", "Settings", ":material/settings:")


def link(place: Place, label: str | None = None, **query: object) -> None:
    """A link to another page; `query` becomes its query parameters, such as clip=12."""
    st.page_link(_page(place), label=label or place.title, icon=place.icon, query_params=_texts(query))


def go(place: Place, **query: object) -> NoReturn:
    """Leave this run of the page for another page."""
    st.switch_page(_page(place), query_params=_texts(query))


def asked_for(name: str) -> int | None:
    """The row id that the address asks for (`?clip=12`), if it is one."""
    text = st.query_params.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None


def _page(place: Place) -> st.Page:
    # Streamlit recognises a page by its address; what it would run is known to `navigation`.
    return st.Page(
        lambda: None, title=place.title, icon=place.icon, url_path=place.url_path, default=not place.url_path
    )


def _texts(query: dict[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in query.items()}
