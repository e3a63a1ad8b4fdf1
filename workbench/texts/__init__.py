"""What the interface says, in each language that it speaks: one TOML file per language, same keys in all.

To add a language, copy `en.toml`, translate the values and keep the `{placeholders}`; a test compares the files.
"""

import functools
import string
import tomllib
from collections.abc import Iterator
from importlib import resources

DEFAULT_LANGUAGE = "en"


class Texts:
    """The sentences of one language, looked up by "section.key"."""

    def __init__(self, language: str, sentences: dict[str, str]) -> None:
        self.language = language
        self._sentences = sentences

    def __call__(self, key: str, **values: object) -> str:
        """The sentence `key` with its placeholders filled in; KeyError if there is none."""
        sentence = self._sentences[key]
        return sentence.format(**values) if values else sentence

    def section(self, name: str) -> dict[str, str]:
        """All sentences below `name`, without its prefix: what a browser component needs at once."""
        prefix = f"{name}."
        return {key[len(prefix) :]: text for key, text in self._sentences.items() if key.startswith(prefix)}

    def keys(self) -> set[str]:
        """Every key of this language."""
        return set(self._sentences)

    def placeholders(self, key: str) -> set[str]:
        """The names in braces that `key` wants filled in."""
        return {name for _, name, _, _ in string.Formatter().parse(self._sentences[key]) if name}


@functools.cache
def languages() -> dict[str, str]:
    """The languages there are: code -> the language's own name, the default first."""
    files = (entry.name for entry in resources.files(__name__).iterdir() if entry.name.endswith(".toml"))
    codes = [name.removesuffix(".toml") for name in files]
    return {
        code: load(code)("language.name") for code in sorted(codes, key=lambda code: (code != DEFAULT_LANGUAGE, code))
    }


@functools.cache
def load(language: str) -> Texts:
    """The sentences of `language`, or of the default language where there is no such file."""
    file = resources.files(__name__).joinpath(f"{language}.toml")
    if not language.isalpha() or not file.is_file():
        return load(DEFAULT_LANGUAGE)
    return Texts(language, dict(_flattened(tomllib.loads(file.read_text("utf-8")))))


def _flattened(table: dict, prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
