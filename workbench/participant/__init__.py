"""The participant's side of a study: the way in, consent, sound check, instructions, trials, the end.

`take_part.page` is what a participant's link opens. Order, sides, what may be answered and what is stored are decided
in `evaluation.study`; here is what a participant sees. Nothing here knows which system made a film.
"""
