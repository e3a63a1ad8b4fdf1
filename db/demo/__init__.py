"""The demo corpus: synthetic talking heads with speech, emotion and known truth.

Here lives everything that makes a corpus out of nothing: a parametric head (`head`, `mesh`, `parts`, `face`,
`identity`, `appearance`), its facial actions (`action_units`), speech with phoneme timings (`speech`, `formant`,
`sentences`), the motion that joins the two (`visemes`, `motion`), the judges' scores (`scores`) and the writer
(`build`). What does not live here: reading corpora of any layout, which is `db.corpus`, also for this one.
"""
