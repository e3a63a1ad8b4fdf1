"""Why a study does not let somebody go on: a word for the page to translate, and a sentence."""

REASONS = {
    "not_launched": "this study has not begun",
    "closed": "this study is closed; thank you for your interest",
    "paused": "this study is paused; please come back later",
    "full": "this study has all the participants that it needs; thank you for your interest",
    "left": "you have left this study",
    "finished": "you have answered everything already",
    "too_early": "there is an earlier step to be done first",
    "not_open": "this trial is not the one that is open now; go on with the one that is shown",
    "not_watched": "an answer counts only when every film of the trial was played to its end",
    "incomplete": "every question needs an answer",
    "bad_answer": "this is none of the possible answers",
    "bad_link": "this link is not complete; open it again from where you got it",
}


class StudyRefused(ValueError):
    """A participant cannot do this now; `reason` is a key of REASONS."""

    def __init__(self, reason: str, detail: str = ""):
        self.reason = reason
        super().__init__(f"{REASONS[reason]}{f' ({detail})' if detail else ''}")


class StillBlind(ValueError):
    """Results were asked for before the study was unblinded."""


class MissingStimulus(FileNotFoundError):
    """A film of a launched study is gone; the message says which and what to do."""
