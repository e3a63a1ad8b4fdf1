"""How does speech become a moving face? EavaNet: model, training, prediction, speed.

Reads clips, labels and splits through `db`; knows nothing of how a label came about (`labeling`), which numbers are
reported (`evaluation`) or what a person sees (`workbench`). Reading order: model, style, audio, losses, data, train.
"""
