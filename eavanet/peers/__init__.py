"""The systems that the paper compares with, FaceFormer and CodeTalker: models, training, and their published files.

They give what their authors' code gives, and are trained, run and timed by the same commands as EavaNet. Reading order:
speech, causal, faceformer, codetalker_codes, codetalker, published.
"""
