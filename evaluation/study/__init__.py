"""What do people see? Blinded studies in the browser, A/B and mean opinion scores: designed, served and analysed.

The analysis is pure: a table of responses in (see `responses`), results with intervals out, so that a study that was
run elsewhere is analysed by the same functions. The pages of participants and researchers are in `workbench`.
"""
