"""The app: `streamlit run workbench/Home.py`.

Streamlit reads this file twice, in two roles. The server imports it once and finds `app`, which adds our own
routes to Streamlit's; for every visitor Streamlit then runs it as a script, and it shows the pages for that visitor.
"""

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

if get_script_run_ctx(suppress_warning=True) is None:
    from workbench.server import MIDDLEWARE, ROUTES, lifespan

    app = st.App("Home.py", routes=ROUTES, middleware=MIDDLEWARE, lifespan=lifespan)
else:
    from workbench.navigation import show

    show()
