"""The four emotions, the intensity scale, and the answers that are none."""

# In the paper's order (h, a, s, ne), which decides ties under the policy "paper".
EMOTIONS = ("happy", "angry", "sadness", "neutral")

INTENSITIES = (1, 2, 3, 4, 5)  # the corpus's own scale: "1: not at all ~ 5: very"
INTENSITY_ENDS = {1: "not at all", 5: "very"}

PROBLEMS = ("cannot_tell", "broken_clip")
