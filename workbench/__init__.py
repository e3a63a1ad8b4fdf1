"""What a person sees and clicks: the Streamlit app, its pages by role, the clip player, background jobs.

Pages hold layout and wording only; what would be needed without Streamlit lives in `db`, `labeling`, `eavanet`
or `evaluation`. Nothing imported here may pull torch, transformers, librosa or pyvista into the app's process.
"""
