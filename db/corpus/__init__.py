"""Corpora on the disk: their file formats, their layouts, `check` and `import`.

One file per format (`npy`, `wav`, `ply`, `obj`, `vl`, `pickles`, `indices`, `original_ratings`, `settings`), one per
layout (`peers`, `raw`), both giving a `source.CorpusSource`; `examine` looks at one clip closely, `check` reports,
`importing` fills the data root and the database, `write` writes both layouts. How speech is trimmed lives in
`db.preprocess`, what the player downloads in `db.playback`, how stored clips are loaded in `db.clips`.
"""
