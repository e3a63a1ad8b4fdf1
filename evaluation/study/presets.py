"""The paper's two studies as designs (section IV.D and F), and texts in English and Korean to begin with.

Table III: 30 clips x 3 comparisons, 90 pairs, which face is better in lip sync and in expression; 23 participants.
Table V: 15 clips x 3 conditions, 45 items, one condition subject, 1 to 5; 25 participants.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.study.design import AnalysisPlan, Catch, Clips, Design, Question, Scale, System

TABLE_III_PARTICIPANTS, TABLE_III_CLIPS = 23, 30
TABLE_V_PARTICIPANTS, TABLE_V_CLIPS = 25, 15
TRUTH = "GT"

LIP_SYNC = Question("lip_sync", {
    "en": "In which of the two do the lips fit the speech better?",
    "ko": "두 영상 중 어느 쪽의 입 모양이 말소리와 더 잘 맞습니까?",
})  # fmt: skip
EXPRESSION = Question("expression", {
    "en": "In which of the two does the facial expression fit the speech better?",
    "ko": "두 영상 중 어느 쪽의 표정이 말소리와 더 잘 어울립니까?",
})  # fmt: skip
EXPRESSIVENESS = Question("expressiveness", {
    "en": "How strongly does this face express emotion?",
    "ko": "이 얼굴은 감정을 얼마나 강하게 표현합니까?",
})  # fmt: skip
AB_INSTRUCTIONS = {
    "en": "You will see two faces that say the same. Play the left one to its end, then the right one; you may play "
          "each again. Then answer every question for the pair. There are no right or wrong answers: tell us what you "
          "see and hear. Use headphones if you can, in a quiet place, and keep the window in front.",
    "ko": "같은 말을 하는 두 얼굴을 보게 됩니다. 왼쪽 영상을 끝까지 재생한 다음 오른쪽 영상을 재생하십시오. 각 영상은 "
          "다시 볼 수 있습니다. 그런 다음 그 쌍에 대한 모든 질문에 답하십시오. 정답이나 오답은 없으니 보고 들은 대로 "
          "답하시면 됩니다. 가능하면 조용한 곳에서 헤드폰을 사용하고, 이 창을 항상 앞에 두십시오.",
}  # fmt: skip
MOS_INSTRUCTIONS = {
    "en": "You will see one face at a time. Play it to its end; you may play it again. Then give your score. There are "
          "no right or wrong answers: tell us what you see and hear. Use headphones if you can, in a quiet place, and "
          "keep the window in front.",
    "ko": "한 번에 하나의 얼굴을 보게 됩니다. 영상을 끝까지 재생하십시오. 다시 볼 수도 있습니다. 그런 다음 점수를 "
          "매기십시오. 정답이나 오답은 없으니 보고 들은 대로 답하시면 됩니다. 가능하면 조용한 곳에서 헤드폰을 "
          "사용하고, 이 창을 항상 앞에 두십시오.",
}  # fmt: skip
CONSENT = {
    "en": "Taking part is voluntary. You can stop at any time without giving a reason. We store your answers, when you "
          "gave them, how you played the films, and the size and kind of your browser window; we store no name and no "
          "address. The answers are analysed and published without anything that points to you.",
    "ko": "참여는 자발적이며, 이유를 밝히지 않고 언제든지 그만둘 수 있습니다. 저희는 답변과 답변 시각, 영상 재생 "
          "방식, 브라우저 창의 크기와 종류를 저장하며, 이름이나 주소는 저장하지 않습니다. 답변은 개인을 알아볼 수 "
          "없는 형태로 분석되고 공개됩니다.",
}  # fmt: skip
TITLES = {
    "ab": {"en": "Comparing talking faces", "ko": "말하는 얼굴 비교"},
    "mos": {"en": "Rating talking faces", "ko": "말하는 얼굴 평가"},
}
SCALE = Scale(
    1, 5, {"en": "not at all", "ko": "전혀 표현하지 않음"}, {"en": "very strongly", "ko": "매우 강하게 표현함"}
)


def paper_table_iii(
    subject: System, others: Sequence[System], *, split: str | None = None, clips: Sequence[str] = (), **changes: Any
) -> Design:
    """Table III: `subject` (EavaNet) against each of `others` (in the paper GT, FaceFormer, CodeTalker), forced choice.

    Thirty clips of the split's BIWI-B, or those named. Three catch trials, which the paper does not mention, and one
    rule: who fails two of them is excluded. `changes` are fields of Design. Raises BadDesign.
    """
    settings: dict[str, Any] = {
        "kind": "ab",
        "title": TITLES["ab"],
        "systems": (subject, *others),
        "comparisons": tuple((subject.name, other.name) for other in others),
        "questions": (LIP_SYNC, EXPRESSION),
        "clips": Clips(tuple(clips), split, count=TABLE_III_CLIPS),
        "participants": TABLE_III_PARTICIPANTS,
        "instructions": AB_INSTRUCTIONS,
        "consent": CONSENT,
        "catch": Catch("shifted", 3, question=LIP_SYNC.key),
        "analysis": AnalysisPlan(exclusion={"max_catch_failures": 1}),
    }
    return Design(**settings | changes)


def paper_table_v(
    conditions: Mapping[str, str], condition_subject: str, *, split: str | None = None, clips: Sequence[str] = (),
    **changes: Any,
) -> Design:  # fmt: skip
    """Table V: the same system at several intensities alpha of Eq. (8), in the paper 0, 0.3 and 1, scored 1 to 5.

    conditions: the name that tables show -> its prediction set, such as {"Neutral": ..., "alpha 0.3": ...,
    "Emotion": ...}. All of one condition subject, as in the paper. No catch trials: a late sound says nothing about
    expressiveness. `changes` are fields of Design. Raises BadDesign.
    """
    settings: dict[str, Any] = {
        "kind": "mos",
        "title": TITLES["mos"],
        "systems": tuple(System(name, predictions) for name, predictions in conditions.items()),
        "questions": (EXPRESSIVENESS,),
        "scale": SCALE,
        "clips": Clips(tuple(clips), split, count=TABLE_V_CLIPS),
        "participants": TABLE_V_PARTICIPANTS,
        "instructions": MOS_INSTRUCTIONS,
        "consent": CONSENT,
        "condition_subject": condition_subject,
    }
    return Design(**settings | changes)
