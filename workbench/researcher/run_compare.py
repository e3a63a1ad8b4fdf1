"""Several runs beside each other: their curves, their best epochs, and the settings in which they differ."""

from typing import Any

import pandas as pd
import streamlit as st

from eavanet.standing import RunStanding, best_epoch, newest_stage
from workbench.researcher import charts
from workbench.researcher.downloads import downloads
from workbench.researcher.run_charts import CURVES, compared_figure, heading
from workbench.researcher.run_view import read_metrics
from workbench.session import Visitor

MEASURED = {
    "epoch": "Best epoch",
    "validation/total": "Validation loss",
    "validation/vertex": "of vertices",
    "validation/emotion": "of emotion",
    "validation/motion": "of motion",
    "validation/codes": "of codes",
    "validation/lip_vertex_error": "Lip vertex error",
    "validation/lip_vertex_error_of_template": "The template's lip vertex error",
    "validation/emotion_accuracy": "Emotions recognised",
}


def show_comparison(runs: list[RunStanding], who: Visitor) -> None:
    """Curves on top of each other, then two tables."""
    st.subheader(f"{len(runs)} runs compared", anchor=False)
    metrics = {run.row.name: read_metrics(run) for run in runs}
    compared = {name: newest_stage(entries) for name, entries in metrics.items()}
    if len({(run.row.corpus_id, run.row.split_id, run.row.release_id) for run in runs}) > 1:
        st.warning(
            "These runs have different corpora, splits or labels: their losses are of different clips and cannot be "
            "compared as they are.", icon=":material/warning:",
        )  # fmt: skip
    elif len({run.row.system for run in runs}) > 1:
        st.info("These runs are of different systems, each with its own losses; compare their lip vertex errors.",
                icon=":material/info:")  # fmt: skip
    elif len({run.row.settings.get("training", {}).get("vertex_loss") for run in runs}) > 1:
        st.info("These runs have different vertex losses; compare their lip vertex errors.", icon=":material/info:")
    st.caption("On the validation clips, except for the learning rate.")
    figures = {title: compared_figure(title, compared) for title in CURVES}
    columns = st.columns(3)
    for number, title in enumerate(title for title, figure in figures.items() if figure is not None):
        with columns[number % 3]:
            st.markdown(heading(title))
            st.plotly_chart(figures[title], config=charts.config(f"runs-{number}"), key=f"compared {number}")
    st.markdown("**At their best epochs**")
    st.dataframe(_best(metrics), height="content")
    st.markdown("**Settings that differ**")
    different = differing_settings(runs)
    if different.empty:
        st.caption("None: these runs were begun with the same settings on the same data.")
    else:
        st.dataframe(different, height="content")
    downloads("runs-compared", lambda: _epochs(metrics), who, what="metrics of runs", label="Export the metrics")


def differing_settings(runs: list[RunStanding]) -> pd.DataFrame:
    """Settings, data and device in which `runs` are not alike: one row each, one column per run, as text."""
    told = {run.row.name: _all_settings(run) for run in runs}
    names = list(dict.fromkeys(name for settings in told.values() for name in settings))
    rows = {name: {run: settings.get(name, "") for run, settings in told.items()} for name in names}
    different = {name: row for name, row in rows.items() if len(set(row.values())) > 1}
    return pd.DataFrame.from_dict(different, orient="index", columns=list(told), dtype=str)


def _all_settings(run: RunStanding) -> dict[str, str]:
    manifest = run.row.manifest
    data = {key: str(manifest.get(key, {}).get("name", "")) for key in ("corpus", "release", "split")}
    device = {"device": str(manifest.get("environment", {}).get("device", ""))}
    version = {"version": str(manifest.get("environment", {}).get("version", ""))}
    return {"system": run.row.system} | data | _flat(run.row.settings) | device | version


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = str(value)
    return found


def _best(metrics: dict[str, list[dict]]) -> pd.DataFrame:
    best = {name: best_epoch(entries) or {} for name, entries in metrics.items()}
    rows = {words: {name: entry.get(key) for name, entry in best.items()} for key, words in MEASURED.items()}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=list(metrics)).dropna(how="all")
    return table.map(lambda value: "" if value is None or pd.isna(value) else f"{value:.5g}")


def _epochs(metrics: dict[str, list[dict]]) -> pd.DataFrame:
    return pd.concat([pd.DataFrame(entries).assign(run=name) for name, entries in metrics.items()], ignore_index=True)
