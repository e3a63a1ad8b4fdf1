"""What researchers see: one module per page, and the pieces that several pages share.

Pages: `overview`, `corpus` (Clips), `imports`, `raters`, `labelling` (Progress and agreement), `releases`, `settings`.
Pieces: `places` (links between pages), `choosing` (which corpus, round, release), `notices`, `downloads`, `charts`,
`clip_view`, `job_view`. Layout and wording only: what a page shows is asked of `db` and `labeling`.
"""
