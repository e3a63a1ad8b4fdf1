"""The rater's side of the workbench: instructions, practice, rating clip after clip, and the end.

`rate.page` is the one page that a personal link opens. What is stored, and who rates what next, is decided in
`labeling`; here is what a rater sees, and what the page remembers between two clicks.
"""
