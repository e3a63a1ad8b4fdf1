"""Which numbers, figures, renderings and study results do we report?

Predictions come in as files, so that any system can be scored by dropping its files in: nothing here imports torch,
knows how a prediction was made (`eavanet`), or how a label came about (`labeling`).
"""
