"""Raters' personal links: made, shown once, copied."""

from urllib.parse import urlsplit, urlunsplit

import pandas as pd
import streamlit as st

from labeling import exchange
from workbench.researcher.downloads import files
from workbench.session import RATER_PARAMETER

_NEW = "new personal links"


def app_address(page_url: str, page_path: str) -> str:
    """The app's own address, with a final slash, from the address of one of its pages."""
    parts = urlsplit(page_url)
    path = parts.path.rstrip("/").removesuffix(f"/{page_path}") if page_path else parts.path.rstrip("/")
    return urlunsplit((parts.scheme, parts.netloc, f"{path}/", "", ""))


def personal_link(address: str, token: str) -> str:
    """The link that brings a rater in; `address` is the app's, with or without its final slash."""
    return f"{address.strip().rstrip('/')}/?{RATER_PARAMETER}={token}"


def keep(names_and_tokens: list[tuple[str, str]]) -> None:
    """Remember links that were just made until the researcher has copied them; only in this browser session."""
    st.session_state.setdefault(_NEW, []).extend(names_and_tokens)


def show_new_links(page_path: str) -> None:
    """The links that were just made, to copy; shows nothing if there are none."""
    new = st.session_state.get(_NEW)
    if not new:
        return
    with st.container(border=True):
        one = len(new) == 1
        st.markdown(f"**:material/link: {'A new personal link' if one else f'{len(new)} new personal links'}**")
        st.write(
            "Copy now and send to each rater: what is stored cannot be turned back into a link. Whoever has a link "
            "rates in that person's name. A link that was lost is replaced by a new one."
        )
        address = st.text_input(
            "Address of the workbench, as raters reach it", app_address(st.context.url or "", page_path), width=460,
            help="Links begin with it. Change it if raters come by another name or through a proxy.",
        )  # fmt: skip
        if urlsplit(address).hostname in ("localhost", "127.0.0.1", "::1"):
            st.caption(":material/info: With this address, links work on this machine only.")
        table = pd.DataFrame([{"rater": name, "link": personal_link(address, token)} for name, token in new])
        for name, link in table.itertuples(index=False):
            left, right = st.columns([1, 4], vertical_alignment="center")
            left.markdown(f"**{name}**")
            right.code(link, language=None)
        with st.container(horizontal=True):
            files({"personal-links.csv": lambda: exchange.as_csv(table)}, label="All as a file")
            if st.button("I have copied them", icon=":material/done:"):
                del st.session_state[_NEW]
                st.rerun()
