"""The forty sentences of the demo corpus, written for it, with the sounds that they are made of.

Their content is plain on purpose: whether a speaker is happy, angry, sad or neutral must be heard and seen, not read.
Each has several lip closures (p, b, m), bites (f, v) and roundings, so that lip motion can be judged. The sounds are
IPA as in General American, blank-separated, a leading stress mark on stressed vowels; the formant synthesiser speaks
from them, espeak-ng from the text.
"""

from __future__ import annotations

from typing import NamedTuple


class Sentence(NamedTuple):
    """Words, and their sounds in IPA."""

    text: str
    sounds: str


SENTENCES = tuple(
    Sentence(*line)
    for line in (
        (
            "The train to the coast leaves at half past four.",
            "ð ə t ɹ ˈeɪ n t ə ð ə k ˈoʊ s t l ˈiː v z æ t h ˈæ f p ˈæ s t f ˈɔːɹ",
        ),
        (
            "My brother put the blue box beside the door.",
            "m aɪ b ɹ ˈʌ ð ɚ p ʊ t ð ə b l ˈuː b ˈɑː k s b ᵻ s aɪ d ð ə d ˈɔːɹ",
        ),
        (
            "They moved the piano from the hall to the back room.",
            "ð eɪ m ˈuː v d ð ə p i ˈæ n oʊ f ɹ ʌ m ð ə h ˈɔː l t ə ð ə b ˈæ k ɹ ˈuː m",
        ),
        (
            "We both saw the same film on Sunday evening.",
            "w iː b ˈoʊ θ s ˈɔː ð ə s ˈeɪ m f ˈɪ l m ɔ n s ˈʌ n d eɪ ˈiː v n ɪ ŋ",
        ),
        (
            "Somebody left a map of the town on my chair.",
            "s ˈʌ m b ɑː d i l ˈɛ f t ɐ m ˈæ p ʌ v ð ə t ˈaʊ n ɔ n m aɪ tʃ ˈɛɹ",
        ),
        (
            "The bakery on the corner opens before five.",
            "ð ə b ˈeɪ k ɚ ɹ i ɔ n ð ə k ˈɔːɹ n ɚ ɹ ˈoʊ p ə n z b ᵻ f ɔːɹ f ˈaɪ v",
        ),
        (
            "Please give this folder to the woman at the desk.",
            "p l ˈiː z ɡ ˈɪ v ð ɪ s f ˈoʊ l d ɚ t ə ð ə w ˈʊ m ə n æ t ð ə d ˈɛ s k",
        ),
        (
            "He always parks his bicycle behind the museum.",
            "h iː ˈɔː l w eɪ z p ˈɑːɹ k s h ɪ z b ˈaɪ s ɪ k əl b ᵻ h aɪ n d ð ə m j uː z ˈiə m",
        ),
        (
            "Our bus goes over the bridge and past the mill.",
            "aʊ ɚ b ˈʌ s ɡ oʊ z oʊ v ɚ ð ə b ɹ ˈɪ dʒ æ n d p ˈæ s t ð ə m ˈɪ l",
        ),
        (
            "I found your book under a pile of maps.",
            "aɪ f ˈaʊ n d j ʊɹ b ˈʊ k ʌ n d ɚ ɹ ɐ p ˈaɪ l ʌ v m ˈæ p s",
        ),
        (
            "She told me about the meeting this morning.",
            "ʃ iː t ˈoʊ l d m iː ɐ b aʊ t ð ə m ˈiː ɾ ɪ ŋ ð ɪ s m ˈɔːɹ n ɪ ŋ",
        ),
        (
            "The boat comes back from the island on Friday.",
            "ð ə b ˈoʊ t k ˈʌ m z b ˈæ k f ɹ ʌ m ð ɪ ˈaɪ l ə n d ɔ n f ɹ ˈaɪ d eɪ",
        ),
        (
            "You put more pepper in the soup than before.",
            "j uː p ʊ t m ˈɔːɹ p ˈɛ p ɚ ɹ ɪ n ð ə s ˈuː p ð ɐ n b ᵻ f ˈɔːɹ",
        ),
        (
            "There are five maple trees behind the farm.",
            "ð ɛ ɹ ɑːɹ f ˈaɪ v m ˈeɪ p əl t ɹ ˈiː z b ᵻ h aɪ n d ð ə f ˈɑːɹ m",
        ),
        (
            "Both of them waved to me from the platform.",
            "b ˈoʊ θ ʌ v ð ɛ m w ˈeɪ v d t ə m iː f ɹ ʌ m ð ə p l ˈæ t f ɔːɹ m",
        ),
        (
            "My mother has bought four yellow plates.",
            "m aɪ m ˈʌ ð ɚ h ɐ z b ˈɔː t f ˈɔːɹ j ˈɛ l oʊ p l ˈeɪ t s",
        ),
        (
            "The phone in the office rang for a whole minute.",
            "ð ə f ˈoʊ n ɪ n ð ɪ ˈɑː f ɪ s ɹ ˈæ ŋ f ɚ ɹ ə h ˈoʊ l m ˈɪ n ɪ t",
        ),
        (
            "We have to be home before the game is over.",
            "w iː h æ v t ə b i h ˈoʊ m b ᵻ f ɔːɹ ð ə ɡ ˈeɪ m ɪ z ˈoʊ v ɚ",
        ),
        (
            "There was a map of the park above the table.",
            "ð ɛɹ w ʌ z ɐ m ˈæ p ʌ v ð ə p ˈɑːɹ k ə b ʌ v ð ə t ˈeɪ b əl",
        ),
        (
            "Most people walk through the park to the station.",
            "m ˈoʊ s t p ˈiː p əl w ˈɔː k θ ɹ uː ð ə p ˈɑːɹ k t ə ð ə s t ˈeɪ ʃ ə n",
        ),
        (
            "The shop has moved to the other side of the river.",
            "ð ə ʃ ˈɑː p h ɐ z m ˈuː v d t ə ð ɪ ˈʌ ð ɚ s ˈaɪ d ʌ v ð ə ɹ ˈɪ v ɚ",
        ),
        (
            "Bob wants to show you a photo of the house.",
            "b ˈɑː b w ˈɔ n t s t ə ʃ ˈoʊ j uː ɐ f ˈoʊ ɾ oʊ ʌ v ð ə h ˈaʊ s",
        ),
        (
            "I never thought about it from that point of view.",
            "aɪ n ˈɛ v ɚ θ ˈɔː t ɐ b aʊ t ɪ t f ɹ ʌ m ð æ t p ˈɔɪ n t ʌ v v j ˈuː",
        ),
        (
            "It took us five weeks to paint the fence.",
            "ɪ t t ˈʊ k ʌ s f ˈaɪ v w ˈiː k s t ə p ˈeɪ n t ð ə f ˈɛ n s",
        ),
        (
            "The package for the museum came by boat.",
            "ð ə p ˈæ k ɪ dʒ f ɚ ð ə m j uː z ˈiə m k ˈeɪ m b aɪ b ˈoʊ t",
        ),
        (
            "You may leave your umbrella by the window.",
            "j uː m ˈeɪ l ˈiː v j ʊ ɹ ʌ m b ɹ ˈɛ l ə b aɪ ð ə w ˈɪ n d oʊ",
        ),
        (
            "Every member of the group has a number.",
            "ˈɛ v ɹ i m ˈɛ m b ɚ ɹ ʌ v ð ə ɡ ɹ ˈuː p h ɐ z ɐ n ˈʌ m b ɚ",
        ),
        (
            "The movie begins at seven and ends by nine.",
            "ð ə m ˈuː v i b ɪ ɡ ˈɪ n z æ t s ˈɛ v ə n æ n d ˈɛ n d z b aɪ n ˈaɪ n",
        ),
        (
            "He wrote a few pages about the old bridge.",
            "h iː ɹ ˈoʊ t ɐ f j ˈuː p ˈeɪ dʒ ᵻ z ɐ b aʊ t ð ɪ ˈoʊ l d b ɹ ˈɪ dʒ",
        ),
        (
            "My cup is the one with the brown pattern.",
            "m aɪ k ˈʌ p ɪ z ð ə w ˈʌ n w ɪ ð ð ə b ɹ ˈaʊ n p ˈæ t ɚ n",
        ),
        (
            "We will meet in front of the big fountain.",
            "w iː w ɪ l m ˈiː t ɪ n f ɹ ˈʌ n t ʌ v ð ə b ˈɪ ɡ f ˈaʊ n t ɪ n",
        ),
        (
            "The farmer brought a basket of pears for you.",
            "ð ə f ˈɑːɹ m ɚ b ɹ ˈɔː t ɐ b ˈæ s k ɪ t ʌ v p ˈɛɹ z f ɔːɹ j uː",
        ),
        (
            "She plays the violin in the room above mine.",
            "ʃ iː p l ˈeɪ z ð ə v aɪə l ˈɪ n ɪ n ð ə ɹ ˈuː m ə b ʌ v m ˈaɪ n",
        ),
        (
            "I heard that they want to buy a van.",
            "aɪ h ˈɜː d ð æ t ð eɪ w ˈɔ n t t ə b ˈaɪ ɐ v ˈæ n",
        ),
        (
            "Nobody knew which of the keys would fit.",
            "n ˈoʊ b ɑː d i n ˈuː w ɪ tʃ ʌ v ð ə k ˈiː z w ʊ d f ˈɪ t",
        ),
        (
            "The weather map shows clouds over the valley.",
            "ð ə w ˈɛ ð ɚ m ˈæ p ʃ ˈoʊ z k l ˈaʊ d z oʊ v ɚ ð ə v ˈæ l i",
        ),
        (
            "This bag belongs to the man from apartment five.",
            "ð ɪ s b ˈæ ɡ b ᵻ l ˈɔ ŋ z t ə ð ə m ˈæ n f ɹ ʌ m ɐ p ˈɑːɹ t m ə n t f ˈaɪ v",
        ),
        (
            "You both know what he said about the plan.",
            "j uː b ˈoʊ θ n ˈoʊ w ʌ t h iː s ˈɛ d ɐ b aʊ t ð ə p l ˈæ n",
        ),
        (
            "Maybe we should have taken the other road.",
            "m ˈeɪ b iː w iː ʃ ʊ d ə v t ˈeɪ k ə n ð ɪ ˈʌ ð ɚ ɹ ˈoʊ d",
        ),
        (
            "The book you want is on the bottom shelf.",
            "ð ə b ˈʊ k j uː w ˈɔ n t ɪ z ɔ n ð ə b ˈɑː ɾ ə m ʃ ˈɛ l f",
        ),
    )
)
