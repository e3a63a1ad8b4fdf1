"""The settings of a training as a form: a field for each that there is, with its words; in and out as TOML."""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import streamlit as st

from eavanet import planning
from workbench.jobs import ROOT
from workbench.researcher import notices

OPTIONS_TIMEOUT_S = 180
_SHOWN, _MODEL = "settings shown", "settings model"


class OptionsUnavailable(RuntimeError):
    """What can be trained here could not be found out; the message is the command's own last word."""


@functools.lru_cache(maxsize=1)
def training_options() -> dict[str, Any]:
    """What `eavanet.options` tells, asked once per app process: a child process, since it needs torch.

    Raises OptionsUnavailable.
    """
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        done = subprocess.run(
            [sys.executable, "-m", "eavanet.options", "--json"], capture_output=True, text=True, check=True,
            stdin=subprocess.DEVNULL, timeout=OPTIONS_TIMEOUT_S, env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        return json.loads(done.stdout.splitlines()[-1])
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no word"])[-1]
        raise OptionsUnavailable(f"python -m eavanet.options failed: {last}") from error
    except (subprocess.TimeoutExpired, OSError, ValueError, IndexError) as error:
        raise OptionsUnavailable(f"python -m eavanet.options gave no answer: {error}") from error


def settings_form(options: Mapping[str, Any], preset: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Every setting of the training, and of the model as text; returns both tables as they are in the form.

    Raises ValueError if the text of the model's settings cannot be read.
    """
    _fill(options, preset)
    with st.expander("Settings", icon=":material/tune:"):
        st.caption("They begin as the preset has them. What you change is part of the command line below.")
        _fields(options)
        st.text_area(
            "The model's own settings (TOML)", key=_MODEL, height=110, placeholder="[model]\nwidth = 128",
            help="Sizes that the paper gives; rarely changed. " + _model_names(options),
        )  # fmt: skip
        files = st.container(horizontal=True, vertical_alignment="bottom")
    training = {setting["name"]: st.session_state[_key(setting["name"])] for setting in options["settings"]}
    _, model = planning.read_toml(st.session_state[_MODEL], options)
    defaults = {setting["name"]: setting["default"] for setting in options["model_settings"]}
    model = completed(model, options["presets"][preset]["model"], defaults)
    with files:
        _file_buttons(options, preset, training, model)
    return training, model


def changed(values: Mapping[str, Any], preset: Mapping[str, Any]) -> dict[str, Any]:
    """What in `values` is not as the preset has it; tables within are compared by their own settings."""
    found = {}
    for name, value in values.items():
        before = preset.get(name)
        if isinstance(value, dict) and isinstance(before, dict | None):
            value = changed(value, before or {})
            if value:
                found[name] = value
        elif value != before:
            found[name] = value
    return found


def completed(
    values: Mapping[str, Any], preset: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """`values`, and for what the preset sets and `values` leaves out, the default: else the preset would come back."""
    found = dict(values)
    for name, before in preset.items():
        if isinstance(before, dict):
            found[name] = completed(values.get(name, {}), before, defaults[name])
        else:
            found.setdefault(name, defaults[name])
    return found


def _merged(values: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    both = {name: _merged(values[name], more[name]) for name in values.keys() & more.keys()
            if isinstance(values[name], dict) and isinstance(more[name], dict)}  # fmt: skip
    return {**values, **more, **both}


def _key(name: str) -> str:
    return f"setting {name}"


def _fill(options: Mapping[str, Any], preset: str) -> None:
    """Give the fields the preset's values if another preset was chosen, or a file was taken over."""
    given = options["presets"][preset]
    taken = st.session_state.pop("settings taken", None)
    anew = st.session_state.get(_SHOWN) != preset or taken is not None
    # A file counts on top of the preset, as --config does.
    in_file = taken or ({}, {})
    training, model = _merged(given["training"], in_file[0]), _merged(given["model"], in_file[1])
    for name, value in training.items():
        if anew or _key(name) not in st.session_state:  # Streamlit forgets fields while another page is shown
            st.session_state[_key(name)] = value
    if anew or _MODEL not in st.session_state:
        st.session_state[_MODEL] = _model_text(model)
    st.session_state[_SHOWN] = preset


def _model_text(model: Mapping[str, Any]) -> str:
    return "[model]" + planning.as_toml({}, dict(model)).partition("[model]")[2] if model else ""


def _fields(options: Mapping[str, Any]) -> None:
    columns = st.columns(3)
    words = [setting for setting in options["settings"] if setting["kind"] != "bool"]
    switches = [setting for setting in options["settings"] if setting["kind"] == "bool"]
    for number, setting in enumerate([*words, *switches]):
        with columns[number % 3]:
            _field(setting, options)


def _field(setting: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    name, label = setting["name"], setting["name"].replace("_", " ").capitalize()
    common = {"label": label, "help": setting["help"] or None, "key": _key(name)}
    if setting["kind"] == "bool":
        st.toggle(**common)
    elif setting["choices"]:
        st.selectbox(options=setting["choices"], **common)
    elif setting["kind"] == "int":
        st.number_input(min_value=setting["minimum"], step=1, **common)
    elif setting["kind"] == "float":
        st.number_input(min_value=0.0, step=setting["default"] or 0.1, format="%g", **common)
    elif name == "encoder":
        known = [setting["default"], *options["random_encoders"], st.session_state[_key(name)]]
        st.selectbox(options=list(dict.fromkeys(known)), accept_new_options=True, **common)
    else:
        st.text_input(**common)


def _model_names(options: Mapping[str, Any]) -> str:
    return "There are " + ", ".join(f"`{setting['name']}`" for setting in options["model_settings"]) + "."


def _file_buttons(
    options: Mapping[str, Any], preset: str, training: dict[str, Any], model: dict[str, Any]
) -> None:
    about = f"Settings of a training, begun from the preset {preset}. Use: python -m eavanet.train --config FILE"
    st.download_button(
        "Download as TOML", planning.as_toml(training, model, about), f"{preset}-settings.toml", "application/toml",
        icon=":material/download:", on_click="ignore",
    )  # fmt: skip
    with st.popover("Take from a file", icon=":material/upload_file:"):
        given = st.file_uploader("TOML file with [training] and [model]", ["toml"], key="settings file")
        if st.button("Take these settings", disabled=given is None):
            _take(given.getvalue(), options)
    if st.button("Back to the preset", icon=":material/undo:"):
        st.session_state[_SHOWN] = None
        st.rerun()


def _take(content: bytes, options: Mapping[str, Any]) -> None:
    try:
        st.session_state["settings taken"] = planning.read_toml(content.decode("utf-8-sig"), dict(options))
    except UnicodeDecodeError:
        notices.refusal(ValueError("the file is no text in UTF-8"))
        return
    except ValueError as error:
        notices.refusal(error)
        return
    st.rerun()
