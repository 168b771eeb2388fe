"""What operators and embedding programs do with a site: one module per verb. All of it is synchronous.

Every function takes the site first. What an engine refuses is raised (`lbkit.errors`), and what was not seen to hold is
never called done: each verb reads back.
"""
