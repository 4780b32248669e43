"""The models' own request formats, to and from Converse: one module a family.

A Converse job refuses tools, so records with tools are written in the model's own format, and
its answers are read back as Converse responses. Pure functions of dicts; what a format has no
place for is an error that names it. The emulator has the other direction (`emulator/families`).
"""
