"""What is stored, and how it is read and written: tables, corpora in every layout, the demo corpus.

Nothing here knows what a label means (see `labeling`), how speech becomes motion (`eavanet`), which numbers
are reported (`evaluation`) or what a person sees (`workbench`). `db` imports none of them.
"""
